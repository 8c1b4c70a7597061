package boot

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestShield wants a condition in every unit, and a rule for what a device starts.
func TestShield(t *testing.T) {
	run := t.TempDir()
	for name, text := range map[string]string{
		"systemd/system/a.service": "a", "systemd/system/b.timer": "b",
		"systemd/system/timers.target.wants/b.timer":                                               "b",
		`systemd/system/dev-disk-by\x2dlabel-my\x5cx20backup.device.wants/a.service`:               "a",
		`systemd/system/dev-disk-by\x2dpartlabel-MKIMAGE\x2dKEYS.device.wants/mkimage-key.service`: "k",
	} {
		name = filepath.Join(run, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := treeText(t, run)
	for _, name := range []string{"a.service", "b.timer"} {
		want["systemd/system/"+name+".d/10-mkimage-initrd.conf"] = "[Unit]\nConditionPathExists=!/etc/initrd-release\n"
	}
	const rule = `SUBSYSTEM=="block", ACTION!="remove", SYMLINK=="disk/`
	want["udev/rules.d/99-mkimage.rules"] = rule + `by-label/my\x20backup", TAG+="systemd", ENV{SYSTEMD_WANTS}+="a.service"` + "\n" +
		rule + `by-partlabel/MKIMAGE-KEYS", TAG+="systemd", ENV{SYSTEMD_WANTS}+="mkimage-key.service"` + "\n"
	if err := shield(run); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, treeText(t, run)); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}

// TestShieldRest: a device that no rule can name leaves nothing else as it was.
func TestShieldRest(t *testing.T) {
	run := t.TempDir()
	for _, name := range []string{`dev-disk-a\x22b.device.wants/a.service`, "dev-disk-b.device.wants/a.service", "a.service", "z.timer"} {
		writeFile(t, filepath.Join(run, "systemd/system", name), "", 0o644)
	}
	if err := shield(run); err == nil || !strings.Contains(err.Error(), "expected a plain name") {
		t.Errorf("shield: %v", err)
	}
	got := treeText(t, run)
	for _, name := range []string{"systemd/system/a.service.d/10-mkimage-initrd.conf", "systemd/system/z.timer.d/10-mkimage-initrd.conf", "udev/rules.d/99-mkimage.rules"} {
		if got[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
}

// treeText returns the files below dir.
func treeText(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		out[strings.TrimPrefix(name, dir+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestShieldNothing: without units nothing is made.
func TestShieldNothing(t *testing.T) {
	run := t.TempDir()
	if err := shield(run); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(run); err != nil || len(names) != 0 {
		t.Errorf("run has %v, %v", names, err)
	}
}

func TestPathOfUnit(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "dev-vda1", "/dev/vda1"},
		{"escaped", `dev-disk-by\x2dlabel-a\x5cx20b`, `/dev/disk/by-label/a\x20b`},
		{"at the end", `a\x2d`, "/a-"},
		{"too short", `a\x2`, ""},
		{"no x", `a\y2d`, ""},
		{"no digits", `a\xzz`, ""},
		{"a backslash", `a\`, ""},
	} {
		got, err := pathOfUnit(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: pathOfUnit(%q) = %q, %v; want %q", tt.name, tt.in, got, err, tt.want)
		}
	}
}

// TestDeviceRules: names that a rule cannot hold are refused.
func TestDeviceRules(t *testing.T) {
	for _, name := range []string{`dev-a\x22b`, `dev-a\x2ab`, `dev-a\x0ab`, "sys-x", `\x`} {
		dir := filepath.Join(t.TempDir(), name+".device.wants")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if rules, err := deviceRules(dir); err == nil {
			t.Errorf("%s: %q; want an error", name, rules)
		}
	}
}
