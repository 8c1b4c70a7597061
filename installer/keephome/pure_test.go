package keephome

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/layouts"
)

func add(subvolumes ...layouts.Subvolume) func(l *layouts.Layout) {
	return func(l *layouts.Layout) { l.Subvolumes = append(l.Subvolumes, subvolumes...) }
}

func TestScope(t *testing.T) {
	laptop := []string{"@", "@nix", "@var"}
	for _, tt := range []struct {
		name, layout string
		change       func(l *layouts.Layout)
		keep         []string
		new, stay    []string
		snapshots    []string
		err          string
	}{
		{"laptop", "btrfs-laptop", nil, nil, laptop, []string{"@home", "@swap"}, []string{"@factory", "@factory-var"}, ""},
		{"server", "btrfs-server", nil, nil, laptop, []string{"@home"}, []string{"@factory", "@factory-var"}, ""},
		{"root in memory", "impermanence", nil, nil, []string{"@", "@persist", "@nix"}, []string{"@home", "@swap"}, []string{"@factory"}, ""},
		{"below home, not mounted", "btrfs-laptop", add(layouts.Subvolume{Name: "@ada", Mount: "/home/ada"}, layouts.Subvolume{Name: "@x"}), nil,
			laptop, []string{"@home", "@swap", "@ada", "@x"}, []string{"@factory", "@factory-var"}, ""},
		{"not below home", "btrfs-laptop", add(layouts.Subvolume{Name: "@h", Mount: "/homes"}), nil,
			append(laptop[:3:3], "@h"), []string{"@home", "@swap"}, []string{"@factory", "@factory-var"}, ""},
		{"kept as a whole", "btrfs-laptop", add(layouts.Subvolume{Name: "@srv", Mount: "/srv/data"}), []string{"/srv"},
			laptop, []string{"@home", "@swap", "@srv"}, []string{"@factory", "@factory-var"}, ""},
		{"kept in part", "btrfs-laptop", nil, []string{"/var/lib/x"}, laptop, []string{"@home", "@swap"}, []string{"@factory", "@factory-var"}, ""},
		{"nested", "btrfs-laptop", add(layouts.Subvolume{Name: "@var/cache", Mount: "/var/cache"}), nil,
			laptop, []string{"@home", "@swap"}, []string{"@factory", "@factory-var"}, ""},
		{"home in root", "btrfs-laptop", add(layouts.Subvolume{Name: "@/data", Mount: "/home/data"}), nil, nil, nil, nil, "@/data lies in @"},
		{"system in home", "btrfs-laptop", add(layouts.Subvolume{Name: "@home/opt", Mount: "/opt"}), nil, nil, nil, nil, "@home/opt lies in @home"},
		{"no home", "btrfs-laptop", func(l *layouts.Layout) { l.Subvolumes[1].Mount = "/homes" }, nil, nil, nil, nil, "/home is in no subvolume"},
	} {
		p := planOf(t, tt.layout, tt.change)
		s, err := ScopeOf(p, tt.keep)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || fault.ClassOf(err) != fault.Config {
				t.Errorf("%s: %v; want %q", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := [][]string{s.New, s.Stay, s.names()[len(s.New):]}
		if diff := cmp.Diff([][]string{tt.new, tt.stay, tt.snapshots}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	p := planOf(t, "btrfs-laptop", nil)
	p.Profile.Restore.Path = "/var"
	if s, err := ScopeOf(p, nil); err != nil || s.isNew("@var") || len(s.Snapshots) != 1 {
		t.Errorf("a restored /var: %+v, %v; want it to stay, and no snapshot of it", s, err)
	}
}

func TestLocate(t *testing.T) {
	laptop, memory := planOf(t, "btrfs-laptop", nil), planOf(t, "impermanence", nil)
	for _, tt := range []struct {
		p    *plan.Plan
		name string
		want place
		err  string
	}{
		{laptop, "/etc/ssh", place{"@", "etc/ssh"}, ""},
		{laptop, "/", place{"@", "."}, ""},
		{laptop, "/var", place{"@var", "."}, ""},
		{laptop, "/variable", place{"@", "variable"}, ""},
		{laptop, "/var/lib/x", place{"@var", "lib/x"}, ""},
		{laptop, "/home/ada", place{"@home", "ada"}, ""},
		{laptop, "/boot/x", place{}, "vfat"},
		{memory, "/etc/machine-id", place{"@persist", "etc/machine-id"}, ""},
		{memory, "/var/lib/sops-nix/key.txt", place{"@persist", "var/lib/sops-nix/key.txt"}, ""},
		{memory, "/etc/ssh", place{"@", "etc/ssh"}, ""},
		{&plan.Plan{}, "/x", place{}, "nothing is mounted"},
		{&plan.Plan{Mounts: []plan.Mount{{Target: "/", Type: "btrfs", Subvol: "@"}, {Target: "/a", Type: "none", What: "/b"}, {Target: "/b", Type: "none", What: "/a"}}}, "/a/x", place{}, "each other"},
	} {
		got, err := locate(tt.p, tt.name)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("locate(%s) = %v, %v; want %v, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestEdited(t *testing.T) {
	for _, tt := range []struct {
		text  string
		edits map[string]string
		want  string
		err   string
	}{
		{"a b a", map[string]string{"a": "c"}, "c b c", ""},
		{"a b", map[string]string{"a": "b", "b": "a"}, "b a", ""}, // what is put in is not replaced again
		{"aaa", map[string]string{"aa": "bb"}, "bba", ""},
		{"x", nil, "x", ""},
		{"abc", map[string]string{"ab": "xy", "bc": "zz"}, "", "overlaps"},
		{"abc", map[string]string{"d": "e"}, "", "not in it"},
		{"abc", map[string]string{"a": "ee"}, "", "one length"},
		{"abc", map[string]string{"": ""}, "", "one length"},
		{strings.Repeat("x", maxFstab-1), map[string]string{}, strings.Repeat("x", maxFstab-1), ""},
		{strings.Repeat("x", maxFstab), map[string]string{}, strings.Repeat("x", maxFstab), ""},
		{strings.Repeat("x", maxFstab+1), map[string]string{}, "", "larger"},
	} {
		got, err := edited([]byte(tt.text), tt.edits)
		if string(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("edited(%.9q, %q) = %.9q, %v; want %.9q, %q", tt.text, tt.edits, got, err, tt.want, tt.err)
		}
	}
}

func TestParse(t *testing.T) {
	for full, want := range map[string]Beside{
		"@.new-7f": {ID: "7f", New: []string{"@"}}, "@nix.old-0": {ID: "0", Old: []string{"@nix"}}, "@.new-a.old-b": {ID: "b", Old: []string{"@.new-a"}},
		"@": {}, ".new-7f": {}, "@.new-": {}, "@.new-F": {}, "@.neu-7f": {}, "@.old-7f-x.y": {}, "a-7f": {},
	} {
		name, id, isNew := parse(full)
		got := Beside{ID: id}
		switch {
		case isNew:
			got.New = []string{name}
		case id != "":
			got.Old = []string{name}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", full, diff)
		}
	}
}

func TestQuoted(t *testing.T) {
	for _, name := range []string{"a", "*", "[a]", `\`, "a?b"} {
		own, err := path.Match(quoted(name), name)
		other, _ := path.Match(quoted(name), "aab")
		if !own || other || err != nil {
			t.Errorf("quoted(%s) = %s: matches itself %v, another %v, %v", name, quoted(name), own, other, err)
		}
	}
}

func newConfig() *firstboot.Config {
	return &firstboot.Config{Version: 1, Image: "new", Restore: &firstboot.Restore{Host: "demo", Path: "/home"}}
}

func TestConcluded(t *testing.T) {
	head := `{"version":1,"host":"demo","path":"/home",`
	for _, tt := range []struct {
		name, text string
		known      bool
		done       bool
	}{
		{"done", head + `"image":"old","phase":"done","staged":[1]}`, true, true},
		{"begun", head + `"image":"old","phase":"placing"}`, true, false},
		{"no phase", head + `"image":"old"}`, false, false},
		{"host", `{"version":1,"host":"other","path":"/home","phase":"done"}`, false, false},
		{"path", `{"version":1,"host":"demo","path":"/srv","phase":"done"}`, false, false},
		{"version", `{"version":2,"host":"demo","path":"/home","phase":"done"}`, false, false},
		{"damaged", head, false, false}, {"empty", "", false, false}, {"list", "[]", false, false},
	} {
		text, done := concluded([]byte(tt.text), newConfig())
		if (text != nil) != tt.known || done != tt.done {
			t.Errorf("%s: %s, %v; want known %v, done %v", tt.name, text, done, tt.known, tt.done)
		}
		if tt.done && (!strings.Contains(string(text), `"image": "new"`) || !strings.Contains(string(text), `"staged": [`)) {
			t.Errorf("%s: %s; want the new image and all else", tt.name, text)
		}
	}
}

func FuzzConcluded(f *testing.F) {
	f.Add([]byte(`{"version":1,"host":"demo","path":"/home","image":"old","phase":"done","staged":[1]}`))
	f.Add([]byte(`{"version":1,"host":"demo","path":"/home","image":"old","phase":"placing"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, done := concluded(text, newConfig())
		if done && out == nil {
			t.Error("done, but nothing to write")
		}
		if again, still := concluded(out, newConfig()); done && (!still || string(again) != string(out)) {
			t.Errorf("%q becomes %q and then %q", text, out, again)
		}
	})
}
