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

// The same, after all was placed: numbers of inodes come again, so that some of them
// are there is not enough.
func TestHomeLostAfterPlacing(t *testing.T) {
	m := newMachine(t, nil)
	must(t, os.Mkdir(m.path("lost+found"), 0o700)) // which the backup has as well
	m.cutAt("staging", nil)
	m.runCut()
	must(t, os.RemoveAll(m.in("dev"))) // all is there: nothing is restored
	m.cutAt("snapshot", nil)
	m.runCut()
	m.plug(m.device)
	must(t, os.RemoveAll(m.path("carol")))
	m.run(firstboot.CodeNotPristine) // of alice, who has more than what a new home has
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

// What is the system's is never exchanged.
func TestReserved(t *testing.T) {
	m := newMachine(t, nil)
	m.cutAt("at placing", nil)
	m.runCut()
	m.write(filepath.Join(m.staging(), "lost+found/found"), "found")
	must(t, os.Mkdir(m.path("lost+found"), 0o700))
	m.run(firstboot.CodeNotPristine)
	if got, err := os.ReadDir(m.path("lost+found")); len(got) != 0 || err != nil {
		t.Errorf("lost+found: %v, %v; expected nothing", got, err)
	}
	if got := m.text(m.path(besidePrefix + m.backup.id + "/lost+found/found")); got != "found" {
		t.Errorf("beside: %q", got)
	}
}

// A subvolume in the way is somebody's, though there is nothing in it.
func TestSubvolume(t *testing.T) {
	m := newMachine(t, nil)
	m.command("btrfs", "subvolume", "create", m.path("bob"))
	m.run(firstboot.CodeNotPristine)
	m.same("alice")
	m.sameAt("bob", m.path(besidePrefix+m.backup.id+"/bob"))
}

// The system has other numbers for users than the backup, and other places.
func TestHomes(t *testing.T) {
	m := newMachine(t, nil)
	m.c.Restore.Homes = []firstboot.Home{
		{Path: m.c.Restore.Path + "/alice", UID: 2000, GID: 2001}, {Path: m.c.Restore.Path + "/README", UID: 2002, GID: 2002},
		{Path: m.c.Restore.Path + "/team/erin", UID: 2003, GID: 2003},
	}
	must(t, os.Chmod(m.in("etc/skel"), 0o755), os.Symlink("app", m.in("etc/skel/.config/link")), unix.Mkfifo(m.in("etc/skel/fifo"), 0o600))
	m.run(0)
	var st unix.Stat_t
	must(t, unix.Stat(m.path("alice"), &st))
	if st.Mode&0o7777 != 0o710 || st.Uid != 2000 || st.Gid != 2001 {
		t.Errorf("alice: mode %o of %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
	}
	m.same("README")
	if logs := strings.Join(m.logs, "\n"); !strings.Contains(logs, "with number 1000, and is now that of 2000") || !strings.Contains(logs, "README: is no directory") {
		t.Errorf("log: %s", logs)
	}
	owner(t, m.path("team"), 0o755, 0)
	owner(t, m.path("team/erin"), 0o700, 2003)
	owner(t, m.path("team/erin/.config/link"), 0o777, 2003)
	if names, err := os.ReadDir(m.path("team/erin")); len(names) != 2 || err != nil {
		t.Errorf("erin: %v, %v; expected the two of the skeleton that are copied", names, err)
	}
	m.c.Image, m.c.Restore.Homes[0].Path = "fox-2", "/elsewhere/ada"
	if err := Run(t.Context(), m.c, m.s); err == nil || !strings.Contains(err.Error(), "/elsewhere/ada: not below") {
		t.Errorf("Run: %v", err)
	}
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
