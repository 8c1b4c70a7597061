package machine

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// laptop makes the image of a disk, with the identity that id gives.
func laptop(t testing.TB, id byte) (image string, parts *smalldisk.Parts) {
	t.Helper()
	s, err := smalldisk.New(loader.SystemdBoot)
	must(t, err)
	for name, text := range map[string]string{"etc/hostname": "demo\n", "home/mine": "data\n"} {
		must(t, loader.Put(s.Source, name, []byte(text), s.Plan.Epoch))
	}
	s.Params = func(p *btrfs.Params) { p.Seed[0] ^= id }
	image = filepath.Join(t.TempDir(), "laptop.img")
	_, err = s.Assemble(t.Context(), image)
	must(t, err)
	return image, s
}

func look(t testing.TB, o Options) *Machine {
	t.Helper()
	o.Dir = t.TempDir()
	m, err := Look(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	return m
}

// wantError wants an error of a class that says something.
func wantError(t testing.TB, err error, class fault.Class, text string) {
	t.Helper()
	if err == nil || fault.ClassOf(err) != class || !strings.Contains(err.Error()+"\n"+fault.HintOf(err), text) {
		t.Errorf("error of class %v: %v (%s); want class %v: %s", fault.ClassOf(err), err, fault.HintOf(err), class, text)
	}
}

func TestSystem(t *testing.T) {
	image, parts := laptop(t, 0)
	twin, _ := laptop(t, 1)
	m := look(t, Options{Images: []string{image}})
	s, err := m.System("")
	must(t, err)
	for _, id := range []string{s.ID, image} {
		if again, err := m.System(id); err != nil || again != s {
			t.Errorf("System(%s): %v, %v", id, again, err)
		}
	}
	_, err = m.System("/dev/sdx")
	wantError(t, err, fault.Target, "--system "+s.ID)
	_, err = look(t, Options{Images: []string{image, twin}, Plan: nil}).System("")
	wantError(t, err, fault.Usage, "--system "+twin)
	mine := look(t, Options{Images: []string{image, twin}, Plan: parts.Plan})
	if mine.Inventory.Mine != "" { // both are of one profile, and no partition differs
		t.Errorf("of twins one was taken: %s", mine.Inventory.Mine)
	}
	none := filepath.Join(t.TempDir(), "none.img")
	must(t, os.WriteFile(none, make([]byte, 1<<20), 0o600))
	_, err = look(t, Options{Images: []string{none}}).System("")
	wantError(t, err, fault.Target, "no system")
}

func TestFind(t *testing.T) {
	image, _ := laptop(t, 0)
	twin, _ := laptop(t, 1)
	m := look(t, Options{Images: []string{image, twin}})
	root := m.Inventory.Systems[0].Root
	for _, what := range []string{"PARTUUID=" + root.PARTUUID, "PARTUUID=" + strings.ToUpper(root.PARTUUID), "PARTLABEL=" + root.PARTLABEL, "LABEL=" + m.Inventory.Systems[0].Label} {
		if at, err := m.Find(what, image); err != nil || at != root {
			t.Errorf("%s: %v, %v; want %v", what, at, err, root)
		}
		_, err := m.Find(what, "")
		wantError(t, err, fault.Target, twin)
	}
	if at, err := m.Find(twin+"#2", ""); err != nil || at.Disk != twin {
		t.Errorf("by its place: %v, %v", at, err)
	}
	_, err := m.Find("LABEL=nobody", image)
	wantError(t, err, fault.Target, "LABEL=nobody: no disk")
}

func TestMount(t *testing.T) {
	imgtest.NeedRoot(t)
	image, _ := laptop(t, 0)
	before, err := os.ReadFile(image)
	must(t, err)
	m := look(t, Options{Images: []string{image}})
	s, err := m.System("")
	must(t, err)
	// Not every kernel that runs this test has FAT.
	s.Mounts = slices.DeleteFunc(s.Mounts, func(l inventory.Mount) bool { return l.Type == "vfat" })
	sys, err := m.Mount(t.Context(), s, true, func(string) {})
	must(t, err)
	name := filepath.Join(sys.Dir, "home/mine")
	if text, err := os.ReadFile(name); err != nil || string(text) != "data\n" {
		t.Errorf("a file of the home: %q, %v", text, err)
	}
	if err := os.WriteFile(name, nil, 0o600); err == nil {
		t.Error("a system that was mounted read-only can be written to")
	}
	must(t, m.Close())
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image was changed: %v", err)
	}
	if left, err := os.ReadDir(m.options.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	sys, err = m.Mount(t.Context(), s, false, func(string) {})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(sys.Dir, "home/mine"), []byte("new\n"), 0o600))
	must(t, m.Close())
	top, err := m.Top(t.Context(), s, true)
	must(t, err)
	if text, err := os.ReadFile(filepath.Join(top, "@home/mine")); err != nil || string(text) != "new\n" {
		t.Errorf("from the top level: %q, %v", text, err)
	}
	must(t, m.Close())
	root := filepath.Join(t.TempDir(), "root.img")
	disk, err := os.Open(image)
	must(t, err)
	defer disk.Close()
	copied, err := os.Create(root)
	must(t, err)
	_, err = io.Copy(copied, io.NewSectionReader(disk, s.Root.Start, s.Root.Size))
	must(t, err, copied.Close())
	imgtest.BtrfsCheck(t, root, "original")
}

// TestMountBusy has a program use the file system.
func TestMountBusy(t *testing.T) {
	imgtest.NeedRoot(t)
	image, _ := laptop(t, 0)
	m := look(t, Options{Images: []string{image}})
	s, err := m.System("")
	must(t, err)
	top, err := m.Top(t.Context(), s, false)
	must(t, err)
	f, err := os.Create(filepath.Join(top, "busy"))
	must(t, err)
	if err := m.Close(); err == nil || !strings.Contains(err.Error(), unix.EBUSY.Error()) {
		t.Errorf("closed although it is in use: %v", err)
	}
	must(t, f.Close(), m.Close())
}

// TestFileSystem mounts what the inventory has found, on a partition and on a disk without
// any.
func TestFileSystem(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "losetup")
	image, _ := laptop(t, 0)
	bare := filepath.Join(t.TempDir(), "bare.img")
	must(t, os.WriteFile(bare, nil, 0o600), os.Truncate(bare, 256<<20))
	if out, err := exec.Command("mkfs.btrfs", "-q", bare).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.btrfs: %v\n%s", err, out)
	}
	out, err := exec.Command("losetup", "--find", "--show", bare).Output()
	must(t, err)
	node := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", node).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach: %v\n%s", err, out)
		}
	})
	m := look(t, Options{Images: []string{image, bare, node}})
	for i, at := range []inventory.Place{m.Inventory.Systems[0].Root, {Disk: bare, Size: 256 << 20}, {Disk: node, Size: 256 << 20}} {
		if _, err := m.FileSystem(t.Context(), at, fmt.Sprint("at", i), true); err != nil {
			t.Errorf("%v: %v", at, err)
		}
		must(t, m.Close()) // before a copy of the same file system is mounted
	}
	_, err = m.FileSystem(t.Context(), inventory.Place{Disk: image, Start: 1}, "none", true)
	wantError(t, err, fault.Target, "no file system that can be mounted")
}

// TestSleeps mounts nothing for writing where a session sleeps.
func TestSleeps(t *testing.T) {
	imgtest.NeedRoot(t)
	image, _ := laptop(t, 0)
	m := look(t, Options{Images: []string{image}})
	s, err := m.System("")
	must(t, err)
	s.Hibernated = true
	_, err = m.Top(t.Context(), s, false)
	wantError(t, err, fault.Target, "sleeps")
	_, err = m.Mount(t.Context(), s, false, nil)
	wantError(t, err, fault.Target, "sleeps")
	_, err = m.ESP(t.Context(), s)
	wantError(t, err, fault.Target, "sleeps")
	_, err = m.Top(t.Context(), s, true)
	must(t, err)
	must(t, m.Close())
	_, err = m.FileSystem(t.Context(), s.Root, "other", false)
	wantError(t, err, fault.Target, "sleeps")

	// In a swap partition of the same disk, which the system's own files do not show.
	s.Hibernated = false
	m.Inventory.Sessions = []inventory.Session{{Place: inventory.Place{Disk: image, Number: 3}}}
	_, err = m.FileSystem(t.Context(), s.Root, "other", false)
	wantError(t, err, fault.Target, "sleeps")
	_, err = m.FileSystem(t.Context(), s.Root, "other", true)
	must(t, err)
}

// TestBackupLeftOut has a system mount its backup, which no rescue does.
func TestBackupLeftOut(t *testing.T) {
	image, _ := laptop(t, 0)
	twin, _ := laptop(t, 1)
	m := look(t, Options{Images: []string{image, twin}})
	s, other := &m.Inventory.Systems[0], m.Inventory.Systems[1].Root
	s.Mounts = append(s.Mounts, inventory.Mount{What: "PARTUUID=" + s.Root.PARTUUID, Target: "/again", Type: "btrfs"},
		inventory.Mount{What: twin + "#2", Target: "/backup", Type: "btrfs"})
	n := len(s.Mounts)
	if got := m.withoutBackups(s, nil); len(got) != n {
		t.Errorf("%d of %d lines are left where nothing is a backup", len(got), n)
	}
	m.Inventory.Backups = []inventory.Backup{{Place: other}, {Place: s.Root}}
	var notes []string
	got := m.withoutBackups(s, func(line string) { notes = append(notes, line) })
	if len(got) != n-1 || len(notes) != 1 || !strings.HasPrefix(notes[0], "/backup: ") {
		t.Errorf("%d of %d lines are left: %q", len(got), n, notes)
	}
}

// TestPin puts another disk in the place of the one that was looked at.
func TestPin(t *testing.T) {
	image, _ := laptop(t, 0)
	m := look(t, Options{Images: []string{image}})
	must(t, os.Truncate(image, 1<<30))
	_, err := m.Open(image, os.O_RDWR)
	wantError(t, err, fault.Target, "size")
	s, err := m.System("")
	must(t, err)
	_, err = m.Top(t.Context(), s, true)
	wantError(t, err, fault.Target, "size")
	_, err = m.Open(image+"x", os.O_RDONLY)
	wantError(t, err, fault.Target, "is no disk of this machine")
}

func TestRepository(t *testing.T) {
	backup := func(node, label string, wanted []string, paths ...string) (b inventory.Backup) {
		b = inventory.Backup{Place: inventory.Place{Disk: "/dev/sda", Node: node}, Label: label, Wanted: wanted}
		for _, p := range paths {
			b.Repositories = append(b.Repositories, inventory.Repository{Path: p})
		}
		return b
	}
	one, other := backup("/dev/sda1", "usb", nil, "restic"), backup("/dev/sda2", "old", nil, "a", "b")
	wanted := backup("/dev/sda3", "mine", []string{"restore"}, "home")
	for _, tt := range []struct {
		name, call string
		list       []inventory.Backup
		want       string
		class      fault.Class
	}{
		{"the only one", "", []inventory.Backup{one}, "/dev/sda1:restic", 0},
		{"that of the profile", "", []inventory.Backup{one, other, wanted}, "/dev/sda3:home", 0},
		{"by label", "usb", []inventory.Backup{one, other, wanted}, "/dev/sda1:restic", 0},
		{"by label and path", "LABEL=old:/b", []inventory.Backup{one, other}, "/dev/sda2:b", 0},
		{"by node and path", "/dev/sda2:a", []inventory.Backup{one, other}, "/dev/sda2:a", 0},
		{"two", "", []inventory.Backup{one, other}, "--repository /dev/sda2:b", fault.Usage},
		{"two of a label", "old", []inventory.Backup{one, other}, "--repository /dev/sda2:a", fault.Usage},
		{"another", "LABEL=new", []inventory.Backup{one}, "--repository /dev/sda1:restic", fault.Target},
		{"another path", "usb:x", []inventory.Backup{one}, "is not there", fault.Target},
		{"none", "", nil, "plug in", fault.Target},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Machine{Inventory: &inventory.Inventory{Backups: tt.list, Disks: []disks.Disk{}}}
			got, err := m.Repository(tt.call)
			if tt.class != 0 {
				wantError(t, err, tt.class, tt.want)
			} else if err != nil || got.String() != tt.want {
				t.Errorf("%v, %v; want %s", got, err, tt.want)
			}
		})
	}
}
