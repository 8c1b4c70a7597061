package adjust

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// scan returns the tree of a directory.
func scan(t *testing.T, dir string) *fstree.Tree {
	t.Helper()
	tree, err := fstree.ScanDir(t.Context(), dir, fstree.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// unitRoot copies what systemctl looks at from the reference userland.
func unitRoot(t *testing.T) string {
	t.Helper()
	imgtest.Need(t, "systemctl", "cp")
	from, to := userland.Reference(t).Dir, t.TempDir()
	for _, dir := range []string{"etc/systemd", "usr/lib/systemd/system"} {
		parent := filepath.Join(to, filepath.Dir(dir))
		if err := os.MkdirAll(parent, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-a", filepath.Join(from, dir), parent).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
	if err := os.Symlink("usr/lib", filepath.Join(to, "lib")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "usr/lib/systemd/systemd"), []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	extra := "[Install]\nWantedBy=multi-user.target extra@%i.target\nRequiredBy=x.target\nAlias=other@.service\nDefaultInstance=d-f\n"
	if err := os.WriteFile(filepath.Join(to, "etc/systemd/system/extra@.service"), []byte(extra), 0o644); err != nil {
		t.Fatal(err)
	}
	return to
}

// installable returns the units of a source that systemctl enables.
func installable(t *testing.T, e *editor) []string {
	t.Helper()
	taken := map[string]bool{}
	names := []string{"serial-getty@ttyS0.service", "getty@tty2.service", "extra@one.service"}
	for _, name := range e.unitNames() {
		n, err := parseUnitName(name)
		if err != nil {
			t.Fatal(err)
		}
		u, err := e.loadUnit(n)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(u.install.Alias, func(a string) bool { return taken[a] }) {
			continue // systemctl gives a name to one unit
		}
		for _, a := range u.install.Alias {
			taken[a] = true
		}
		if u.alias == "" && !u.masked && !u.install.isEmpty() && (!n.isTemplate() || u.install.DefaultInstance != "" || len(u.install.WantedBy) == 0) {
			names = append(names, name)
		}
	}
	if len(names) < 20 {
		t.Fatalf("only %d units can be enabled: %q", len(names), names)
	}
	return names
}

// TestSystemctl does with all units of the reference what systemctl does:
// enables them, masks some, and disables the rest of them again.
func TestSystemctl(t *testing.T) {
	root := unitRoot(t)
	systemctl := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("systemctl", append([]string{"--root=" + root}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("systemctl %q: %v\n%s", args, err, out)
		}
	}
	names := installable(t, &editor{tree: scan(t, root)})
	masked := []string{"systemd-firstboot.service", "apt-daily.timer"}
	stages := []struct {
		name  string
		units profiles.Units
		args  []string
	}{
		{"disable ssh", profiles.Units{Disable: []string{"ssh.service"}}, []string{"disable", "ssh.service"}},
		{"enable", profiles.Units{Enable: names}, append([]string{"enable"}, names...)},
		{"default", profiles.Units{Target: "rescue.target"}, []string{"set-default", "rescue.target"}},
		{"mask", profiles.Units{Mask: masked}, append([]string{"mask"}, masked...)},
		{"disable", profiles.Units{Disable: names}, nil},
	}
	for _, stage := range stages {
		t.Run(stage.name, func(t *testing.T) {
			tree := scan(t, root)
			for _, m := range masked {
				stage.units.Disable = slices.DeleteFunc(slices.Clone(stage.units.Disable), func(n string) bool { return n == m })
			}
			if stage.args == nil {
				stage.args = append([]string{"disable"}, stage.units.Disable...)
			}
			p := makePlan(t, withUnits(stage.units), layout())
			e := &editor{tree: tree, plan: p, Findings: strict.NewFindings(nil)}
			if err := e.units(); err != nil {
				t.Fatal(err)
			}
			if err := e.Err(); err != nil {
				t.Fatal(err)
			}
			systemctl(stage.args...)
			if diff := cmp.Diff(merged(links(scan(t, root))), merged(links(tree))); diff != "" {
				t.Errorf("-systemctl +ours:\n%s", diff)
			}
		})
	}
}

// merged writes the directory of units in one way: which of its names a
// systemctl writes depends on how it was built, not on the root.
func merged(links []string) []string {
	for i := range links {
		links[i] = strings.Replace(links[i], "-> /lib/", "-> /usr/lib/", 1)
	}
	return links
}

// TestReference applies every built-in profile for Debian to the reference, with
// the packages that it lacks left out of the wishes.
func TestReference(t *testing.T) {
	u := userland.Reference(t)
	profile, _, err := profiles.Load().Resolve("bandit-minimal", nil)
	if err != nil {
		t.Fatal(err)
	}
	layout, _, err := layouts.Load().Resolve(profile.Layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(profile.FirstBoot.Steps, "host-keys") {
		profile.FirstBoot.Steps = append(profile.FirstBoot.Steps, "host-keys")
	}
	tree := scan(t, u.Dir)
	if err := Apply(tree, makePlan(t, profile, layout), Inputs{}); err != nil {
		t.Fatal(err)
	}
	check(t, tree, map[string]string{
		"etc/hostname": "644 0:0 bandit;", "boot": "dir 755 0:0 0", "vmlinuz": "none", "initrd.img": "none", "initrd.img.old": "none",
		"etc/resolv.conf": "none", "etc/ssh/ssh_host_rsa_key": "none", "home/bandit/.bashrc": show(t, tree, "home/bandit/.bashrc"),
		"etc/systemd/system/multi-user.target.wants/mkimage-hostkeys.service": "-> /etc/systemd/system/mkimage-hostkeys.service",
		"etc/systemd/system/default.target":                                   "-> " + usrUnits + "multi-user.target",
		"etc/vconsole.conf":                                                   "-> default/keyboard",
		"var/lib/apt/lists/partial":                                           "dir 700 42:0 0",
	})
	if got := show(t, tree, "home/bandit/.bashrc"); !strings.HasPrefix(got, "644 1000:1000 ") {
		t.Errorf("home/bandit/.bashrc: %.40s; want that of /etc/skel", got)
	}
	if dangling := danglingUnits(tree); len(dangling) > 0 {
		t.Errorf("symlinks to units that are not there: %q", dangling)
	}
	validAccounts(t, tree)
}

// danglingUnits returns the symlinks below configDir that lead nowhere.
func danglingUnits(tree *fstree.Tree) []string {
	e := &editor{tree: tree}
	var list []string
	for _, c := range e.symlinks() {
		if e.find("/"+c.Path()) == nil {
			list = append(list, c.Path())
		}
	}
	return list
}

// validAccounts lets the shadow suite check its files.
func validAccounts(t *testing.T, tree *fstree.Tree) {
	t.Helper()
	imgtest.Need(t, "pwck", "grpck")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"passwd", "shadow", "group", "gshadow"} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(content(t, tree.Lookup("etc/"+name))), fs.FileMode(0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range [][]string{{"pwck", "-rq", "-R", dir}, {"grpck", "-r", "-R", dir}} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); strings.Contains(string(out), "bandit") && !strings.Contains(string(out), "/home/bandit") {
			t.Errorf("%q: %v\n%s", cmd, err, out)
		}
	}
}
