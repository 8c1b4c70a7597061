package restore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// settled is a home where users are: alice has a new home, bob has what the
// backup has, carol and dave have something of their own.
func (m *machine) settled() {
	m.t.Helper()
	for _, name := range []string{"alice/.bashrc", "alice/.config/app", "carol/.bashrc", "dave/mine"} {
		m.write(m.path(name), skelText)
	}
	m.write(m.path("bob/.profile"), skelText)
	must(m.t, os.MkdirAll(m.path("bob/Documents/empty"), 0o755), os.MkdirAll(m.path(snapshotsDir), 0o755), os.Mkdir(m.path("lost+found"), 0o700))
	m.write(m.path("carol/.bashrc"), "# changed\n")
	must(m.t, own(m.path("alice"), 1000), own(m.path("carol"), 1002), own(m.path("dave"), 1003))
}

// isSettled fails unless the restore did with it what it should.
func (m *machine) isSettled() {
	m.t.Helper()
	m.same("README", "alice", "bob")
	beside := besidePrefix + m.backup.id
	m.sameAt("carol", m.path(beside+"/carol"))
	if got := m.text(m.path("carol/.bashrc")) + m.text(m.path("dave/mine")); got != "# changed\n"+skelText {
		m.t.Errorf("the users' files: %q", got)
	}
	if got, want := m.top(), beside+" "+restoredTop; got != want {
		m.t.Errorf("%s; expected %s", got, want)
	}
	if got, err := os.ReadDir(m.path(beside)); len(got) != 1 || err != nil {
		m.t.Errorf("beside: %v, %v; expected carol alone", got, err)
	}
	if _, err := os.Lstat(m.path(".snapshots/restored-" + m.backup.id + "/alice/big")); err != nil {
		m.t.Error(err)
	}
}

func TestNotPristine(t *testing.T) {
	m := newMachine(t, nil)
	m.settled()
	err := m.run(firstboot.CodeNotPristine)
	beside := m.c.Restore.Path + "/" + besidePrefix + m.backup.id
	if !strings.Contains(err.Error(), "not touched") || !strings.Contains(err.Error(), beside+": carol") || !strings.Contains(firstboot.HintOf(err), "rm -rf "+beside) {
		t.Errorf("%v, hint %s", err, firstboot.HintOf(err))
	}
	m.isSettled()
	must(t, os.RemoveAll(m.in("dev")))
	m.run(firstboot.CodeNotPristine) // until somebody has looked
	m.isSettled()
	must(t, os.RemoveAll(m.path(besidePrefix+m.backup.id)))
	m.run(0)
}

// Another image was installed, and the home was kept.
func TestOtherImage(t *testing.T) {
	m := newMachine(t, nil)
	m.run(0)
	m.write(m.path("carol/notes"), "newer notes\n")
	m.c.Image = "fox-2"
	m.run(firstboot.CodeNotPristine)
	if got := m.text(m.path("carol/notes")); got != "newer notes\n" {
		t.Errorf("the user's file is %q", got)
	}
	m.sameAt("carol", m.path(besidePrefix+m.backup.id+"/carol"))
	// Twice: what lies beside is not replaced either.
	m.write(m.path(besidePrefix+m.backup.id+"/carol/notes"), "half moved\n")
	m.c.Image = "fox-3"
	m.run(firstboot.CodeNotPristine)
	if got := m.text(m.path(besidePrefix + m.backup.id + "/carol/notes")); got != "half moved\n" {
		t.Errorf("what lay beside is %q", got)
	}
	m.sameAt("carol", m.path(besidePrefix+m.backup.id+"/carol.2"))
}

// The disk of the home was made anew, and that of the pin was not.
func TestHomeLostWhilePlacing(t *testing.T) {
	m := newMachine(t, nil)
	m.cutAt("at placing", nil)
	m.runCut()
	must(t, os.RemoveAll(m.staging()))
	m.run(0)
	m.same("README", "alice", "bob", "carol")
}

// A user writes while the home is replaced.
func TestWrittenMeanwhile(t *testing.T) {
	m := newMachine(t, nil)
	m.settled()
	m.s.cut = func(after string) error {
		if after == "moved alice" {
			m.write(filepath.Join(m.staging(), "alice/late"), "late")
		}
		return nil
	}
	m.run(firstboot.CodeNotPristine)
	if got := m.text(m.path(keptPrefix + m.backup.id + "/alice/late")); got != "late" {
		t.Errorf("the user's file is %q", got)
	}
	m.same("alice", "bob")
}

func TestIsPristine(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, home, copy string)
		want   bool
	}{
		{"new", func(*testing.T, string, string) {}, true},
		{"directories", func(t *testing.T, home, _ string) { must(t, os.MkdirAll(home+"/a/b/c", 0o700)) }, true},
		{"less", func(t *testing.T, home, _ string) { must(t, os.Remove(home+"/.bashrc")) }, true},
		{"as restored", func(t *testing.T, home, copy string) { put(t, home+"/notes", "n"); put(t, copy+"/notes", "n") }, true},
		{"symlink as restored", func(t *testing.T, home, copy string) {
			must(t, os.Symlink("x", home+"/l"), os.Mkdir(copy, 0o700), os.Symlink("x", copy+"/l"))
		}, true},
		{"a file more", func(t *testing.T, home, _ string) { put(t, home+"/notes", "") }, false},
		{"a file below", func(t *testing.T, home, _ string) { put(t, home+"/a/b/notes", "") }, false},
		{"changed", func(t *testing.T, home, _ string) { put(t, home+"/.bashrc", "# of the skeletoN\n") }, false},
		{"longer", func(t *testing.T, home, _ string) { put(t, home+"/.bashrc", skelText+"x") }, false},
		{"not as restored", func(t *testing.T, home, copy string) { put(t, home+"/notes", "n"); put(t, copy+"/notes", "m") }, false},
		{"elsewhere in the skeleton", func(t *testing.T, home, _ string) { put(t, home+"/a/.bashrc", skelText) }, false},
		{"symlink", func(t *testing.T, home, _ string) { must(t, os.Symlink("/etc", home+"/l")) }, false},
		{"symlink to the skeleton", func(t *testing.T, home, _ string) {
			must(t, os.Remove(home+"/.bashrc"), os.Symlink("../skel/.bashrc", home+"/.bashrc"))
		}, false},
		{"other symlink", func(t *testing.T, home, copy string) {
			must(t, os.Symlink("x", home+"/l"), os.Mkdir(copy, 0o700), os.Symlink("y", copy+"/l"))
		}, false},
		{"fifo", func(t *testing.T, home, copy string) {
			must(t, unix.Mkfifo(home+"/f", 0o600), os.Mkdir(copy, 0o700), unix.Mkfifo(copy+"/f", 0o600))
		}, false},
		{"a directory for a file", func(t *testing.T, home, _ string) {
			must(t, os.Remove(home+"/.bashrc"), os.Mkdir(home+"/.bashrc", 0o700))
		}, true},
		{"a file for a directory", func(t *testing.T, home, copy string) { put(t, home+"/d", "x"); put(t, copy+"/d/x", "x") }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			home, copy, skel := dir+"/top/ada", dir+"/copy", dir+"/skel"
			put(t, skel+"/.bashrc", skelText)
			put(t, home+"/.bashrc", skelText)
			tt.change(t, home, copy)
			if got := isPristine(dir+"/top", "ada", copy, skel); got != tt.want {
				t.Errorf("isPristine: %t, expected %t", got, tt.want)
			}
			if got := removePristine(dir+"/top", "ada", copy, skel); got != tt.want {
				t.Errorf("removePristine: %t, expected %t", got, tt.want)
			}
			if _, err := os.Lstat(home); os.IsNotExist(err) != tt.want {
				t.Errorf("home after it: %v", err)
			}
		})
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
}
