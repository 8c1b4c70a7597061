package nix_test

import (
	"encoding/json"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// unit is a unit, and what starts it.
type unit struct {
	Text     string   `json:"text"`
	WantedBy []string `json:"wantedBy"`
}

// imageUnits returns the units that the image of a NixOS has.
func imageUnits(t *testing.T, p profiles.Profile) map[string]unit {
	t.Helper()
	layout, _, err := layouts.Load().Resolve(p.Layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := plan.Make(p, layout, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tree := fstree.New()
	for _, dir := range []string{"nix/store/x-systemd", "etc"} {
		if _, err := tree.MkdirAll(dir, &fstree.Inode{}); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]adjust.SecretFile{"fox.yaml": {Data: []byte("x"), Format: "yaml"}}
	in := adjust.Inputs{Recovery: &adjust.Recovery{Recipients: []string{"age1x"}, Files: files}}
	if err := adjust.Apply(tree, made, in); err != nil {
		t.Fatal(err)
	}
	units := map[string]unit{}
	for e := range tree.All() {
		name, ok := strings.CutPrefix("/"+strings.TrimPrefix(e.Path(), "/"), firstboot.UnitsDir+"/")
		if !ok || e.IsDir() {
			continue
		}
		u := units[path.Base(name)]
		if by, ok := strings.CutSuffix(path.Dir(name), ".wants"); ok {
			u.WantedBy = append(u.WantedBy, by)
		} else {
			u.Text = text(t, e)
		}
		units[path.Base(name)] = u
	}
	return units
}

func text(t *testing.T, e *fstree.Entry) string {
	t.Helper()
	f, err := e.Content.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, e.Size))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestUnits: a NixOS that was rebuilt has the units of its image.
func TestUnits(t *testing.T) {
	secrets := []profiles.Secret{{Name: "restic", File: "fox.yaml", Key: "a"}, {Name: "s3.env", File: "fox.yaml"}}
	age := profiles.Age{Sources: []string{"medium"}, Timeout: 60}
	restore := profiles.Restore{Disk: "LABEL=my backup", Repository: "restic/fox", Password: "restic"}
	warns := restore
	warns.Login, warns.Path, warns.Disk = "warn", "/home/a%b", `PARTLABEL=a/b\c#+-.:=@_$`
	tests := []struct {
		name   string
		change func(*profiles.Profile)
		units  int
	}{
		{"nothing", func(*profiles.Profile) {}, 0},
		{"secrets", func(p *profiles.Profile) { p.Age, p.Secrets = age, secrets }, 2},
		{"restore", func(p *profiles.Profile) { p.Age, p.Secrets, p.Restore = age, secrets, restore }, 3},
		{"restore that warns", func(p *profiles.Profile) { p.Age, p.Secrets, p.Restore = age, secrets, warns }, 3},
		{"backups", func(p *profiles.Profile) {
			p.Age, p.Secrets, p.Restore = age, secrets, restore
			p.Backup = []profiles.Backup{
				{Name: "usb", Disk: "LABEL=my backup", Repository: "restic/fox", Password: "restic", Exclude: []string{".cache", `a "b$c%d\e`}, Keep: profiles.Keep{Daily: 7, Yearly: 3}},
				{Name: "far", Repository: "s3:https://x/%y", Password: "restic", Environment: "s3.env", Schedule: "weekly", RandomDelay: "2h", Paths: []string{"/home", "/etc"}},
				{Name: "usb2", Disk: "UUID=12-ab", Repository: "r", Password: "restic", Keep: profiles.Keep{Weekly: 1, Monthly: 2}},
				{Name: "usb3", Disk: "LABEL=my backup", Repository: "other", Password: "restic"},
			}
		}, 13},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _, err := profiles.Load().Resolve("bandit-minimal", nil)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(&p)
			want := imageUnits(t, p)
			if len(want) != tt.units {
				t.Errorf("%d units in the image, want %d", len(want), tt.units)
			}
			// The JSON form has the keys of TOML, and null for a list with nothing in it.
			data, err := json.Marshal(map[string]any{"secrets": p.Secrets, "restore": p.Restore, "backup": p.Backup})
			if err != nil {
				t.Fatal(err)
			}
			profile := "builtins.fromJSON " + quote(string(data))
			if p.Restore == (profiles.Restore{}) {
				profile = "removeAttrs (" + profile + `) [ "restore" ]`
			}
			var got map[string]unit
			evaluate(t, "let p = "+profile+`;
  present = set: removeAttrs set (builtins.filter (key: set.${key} == null) (builtins.attrNames set));
  clean = v: if builtins.isAttrs v then builtins.mapAttrs (_: clean) (present v) else if builtins.isList v then map clean v else v;
in (system { mkimage.profile = clean p; }).systemd.units or { }`, &got)
			for name, u := range got {
				u.WantedBy = slices.DeleteFunc(u.WantedBy, func(s string) bool { return s == "" })
				if len(u.WantedBy) == 0 {
					u.WantedBy = nil
				}
				got[name] = u
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("units (-image +module):\n%s", diff)
			}
		})
	}
}

// TestUnitsRefused: names that the module cannot write as systemd does.
func TestUnitsRefused(t *testing.T) {
	tests := []struct{ name, disk, want string }{
		{"beyond ASCII", "LABEL=größe", "expected a name in ASCII"},
		{"no tag", "/dev/sdb1", "expected LABEL=, UUID= or PARTLABEL="},
		{"another tag", "ID=x", "expected LABEL=, UUID= or PARTLABEL="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tryEvaluate(t, "(system { mkimage.profile.restore = { disk = "+quote(tt.disk)+"; }; }).systemd.units")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
	var off map[string]*unit
	evaluate(t, `(system { mkimage.units.enable = false; mkimage.profile.backup = [ { name = "x"; repository = "r"; password = "p"; } ]; }).systemd.units`, &off)
	for name, u := range off {
		if u != nil && u.Text != "" {
			t.Errorf("%s is there", name)
		}
	}
}
