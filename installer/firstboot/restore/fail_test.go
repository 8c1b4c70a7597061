package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// What goes wrong before anything is written says what it is, and changes
// nothing.
func TestRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(m *machine)
		code   firstboot.Code
		want   string
	}{
		{"no disk", func(m *machine) { must(m.t, os.RemoveAll(m.in("dev"))) }, firstboot.CodeNoDisk, "LABEL=back up: is not there"},
		{"disk is a file", func(m *machine) { m.plug(m.image) }, firstboot.CodeNoDisk, "no block device"},
		{"no password", func(m *machine) { must(m.t, os.Remove(m.in("run/secrets/backup"))) }, firstboot.CodeNotYet, "the secret backup"},
		{"empty password", func(m *machine) { m.write(m.in("run/secrets/backup"), "") }, firstboot.CodePassword, "is empty"},
		{"wrong password", func(m *machine) { m.write(m.in("run/secrets/backup"), "hunter2") }, firstboot.CodePassword, "the secret backup is not its password"},
		{"no repository", func(m *machine) { m.c.Restore.Repository = "restic/wolf" }, firstboot.CodeNoRepository, "restic/wolf"},
		{"above the disk", func(m *machine) { m.c.Restore.Repository = "../../restic/fox/wolf" }, firstboot.CodeNoRepository, "no repository"},
		{"no snapshot", func(m *machine) { m.c.Restore.Host = "wolf" }, firstboot.CodeNoSnapshot, "no snapshot of wolf:"},
		{"no file system", func(m *machine) { m.plug(m.blank("")) }, firstboot.CodeDisk, "no file system that is known"},
		{"encrypted", func(m *machine) { m.plug(m.blank("LUKS\xba\xbe")) }, firstboot.CodeDisk, "LUKS"},
		{"half a file system", func(m *machine) { m.plug(m.blank(strings.Repeat("\x00", 1024+56) + "\x53\xef")) }, firstboot.CodeDisk, "ext4 cannot be mounted: "},
	}
	m := newMachine(t, nil)
	good, restoreGood := m.s, *m.c.Restore
	device := m.device
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m.t, m.s = t, good
			*m.c.Restore = restoreGood
			m.write(m.in("run/secrets/backup"), testPassword)
			m.plug(device)
			tt.change(m)
			err := Run(context.Background(), m.c, m.s)
			if firstboot.CodeOf(err) != tt.code || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run: code %d, %v; expected %d, %s", firstboot.CodeOf(err), err, tt.code, tt.want)
			}
			if strings.Contains(fmt.Sprint(err, firstboot.HintOf(err)), "hunter2") {
				t.Errorf("%v: tells the password", err)
			}
			if got := m.top(); got != "" {
				t.Errorf("%s: is there, expected nothing", got)
			}
			if err := unix.Unmount(m.in(firstboot.BackupDir), 0); !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				t.Errorf("unmount of the backup disk: %v, expected that it was not mounted", err)
			}
		})
	}
}

// blank returns a device that begins with a text.
func (m *machine) blank(text string) string {
	m.t.Helper()
	image := filepath.Join(m.t.TempDir(), "blank.img")
	must(m.t, os.WriteFile(image, []byte(text), 0o600), os.Truncate(image, 1<<20))
	return m.loop(image)
}

func TestNoSnapshotNamesOthers(t *testing.T) {
	m := newMachine(t, nil)
	m.c.Restore.Host = "wolf"
	err := m.run(firstboot.CodeNoSnapshot)
	for _, host := range []string{"fox", "other"} {
		if !strings.Contains(err.Error(), host+":"+m.backup.home) {
			t.Errorf("%v: does not name %s", err, host)
		}
	}
}

// A machine that died has locked the repository for itself alone. The disk
// cannot be written to, and was not unmounted.
func TestDirtyDisk(t *testing.T) {
	for kind, option := range map[string]string{"ext4": "noload", "btrfs": "rescue=nologreplay"} {
		t.Run(kind, func(t *testing.T) {
			m := newMachine(t, nil)
			dir := t.TempDir()
			m.command("mount", m.device, dir)
			clean := m.mkfs(kind, dir)
			must(t, unix.Unmount(dir, 0))
			device := m.loop(clean)
			m.command("mount", device, dir)
			lock := `{"time":"2099-01-01T00:00:00Z","exclusive":true,"hostname":"dead","username":"root","pid":1}`
			name := filepath.Join(dir, "restic/fox/locks", strings.Repeat("ab", 32))
			m.write(name, lock)
			f, err := os.Open(name)
			must(t, err)
			must(t, f.Sync(), f.Close())
			dirty := filepath.Join(t.TempDir(), "dirty.img")
			m.command("cp", "--sparse=always", clean, dirty)
			must(t, unix.Unmount(dir, 0))
			// The kernel may refuse an older image of what it remembers.
			_ = exec.Command("btrfs", "device", "scan", "--forget", device).Run()
			m.plug(m.loop(dirty, "--read-only"))
			m.run(0)
			m.same("README", "alice", "bob", "carol")
			if logs := strings.Join(m.logs, "\n"); !strings.Contains(logs, option) {
				t.Errorf("log: %s; expected the option %s", logs, option)
			}
		})
	}
}

// A disk that somebody has mounted is used where it is, and stays mounted.
func TestMountedAlready(t *testing.T) {
	m := newMachine(t, nil)
	dir := t.TempDir()
	m.command("mount", m.device, dir)
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	m.run(0)
	m.same("alice")
	if _, err := os.Stat(filepath.Join(dir, "restic")); err != nil {
		t.Error(err)
	}
}

func TestOtherDiskThere(t *testing.T) {
	m := newMachine(t, nil)
	dir := m.in(firstboot.BackupDir)
	must(t, os.MkdirAll(dir, 0o755))
	m.command("mount", "-t", "tmpfs", "another", dir)
	err := Run(context.Background(), m.c, m.s)
	must(t, unix.Unmount(dir, 0))
	if firstboot.CodeOf(err) != firstboot.CodeDisk || !strings.Contains(err.Error(), "another is mounted there") {
		t.Errorf("Run: %v, expected that another disk is there", err)
	}
}

// The pack with data is gone: what can be read is restored, and nothing is put
// to its place.
func TestPackMissing(t *testing.T) {
	m := newMachine(t, func(repo string) {
		packs, err := filepath.Glob(filepath.Join(repo, "data/*/*"))
		must(t, err)
		largest, size := "", int64(0)
		for _, pack := range packs {
			if info, err := os.Stat(pack); err == nil && info.Size() > size {
				largest, size = pack, info.Size()
			}
		}
		must(t, os.Remove(largest))
	})
	err := m.run(firstboot.CodeDamaged)
	staging := m.staging()
	if !strings.Contains(err.Error(), "restored was not: /") || !strings.Contains(err.Error(), filepath.Base(staging)) {
		t.Errorf("%v: expected what is missing, and where the rest is", err)
	}
	if _, err := os.Lstat(filepath.Join(staging, "alice/link")); err != nil { // has no content
		t.Error(err)
	}
	if got := m.top(); got != filepath.Base(staging) {
		t.Errorf("%s: is there, expected the staging directory alone", got)
	}
	m.plug(m.makeDisk(nil))
	m.run(0)
	m.same("README", "alice", "bob", "carol")
}

// The snapshot that was begun is gone. What was restored of it may be all that
// is left of it.
func TestPinnedGone(t *testing.T) {
	m := newMachine(t, nil)
	m.cutAt("restored", nil)
	m.runCut()
	old := m.staging()
	m.plug(m.makeDisk(func(repo string) {
		files, err := filepath.Glob(filepath.Join(repo, "snapshots", m.backup.id+"*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		must(t, os.Remove(files[0]))
	}))
	m.run(0)
	m.same("README", "bob", "carol")
	m.sameAt("alice", filepath.Join(old, "alice"))
	if _, err := os.Lstat(m.path("alice")); err != nil {
		t.Error("alice, of whom the older snapshot has nothing, has no home")
	}
	if logs := strings.Join(m.logs, "\n"); !strings.Contains(logs, "no longer in the repository") || !strings.Contains(logs, filepath.Base(old)) {
		t.Errorf("log: %s", logs)
	}
}

// A staging directory that nobody knows of is not used and not removed.
func TestUnknownStaging(t *testing.T) {
	m := newMachine(t, nil)
	names := []string{stagingPrefix + m.backup.id, stagingPrefix + "deadbeef"}
	for _, name := range names {
		m.write(m.path(name+"/alice/notes"), "precious")
	}
	m.write(m.in(pinPath), `{"version": 1, "snapshot": "`)
	m.run(0)
	m.same("README", "alice", "bob", "carol")
	for _, name := range names {
		if got := m.text(m.path(name + "/alice/notes")); got != "precious" {
			t.Errorf("%s: %q", name, got)
		}
		if logs := strings.Join(m.logs, "\n"); !strings.Contains(logs, name+" is of a restore that was not finished") {
			t.Errorf("log: %s: does not name %s", logs, name)
		}
	}
	if got := m.text(m.in(pinPath) + ".damaged"); !strings.Contains(got, "version") {
		t.Errorf("damaged pin: %q", got)
	}
}

func TestSpace(t *testing.T) {
	m := newMachine(t, nil)
	m.mount.Unmount(t)
	m.makeSystem(300 << 20)
	m.plug(m.device)
	err := m.run(firstboot.CodeSpace)
	if !strings.Contains(err.Error(), "MiB more, and ") {
		t.Errorf("%v: expected both figures", err)
	}
	if got := m.top(); got != "" {
		t.Errorf("%s: is there, expected nothing", got)
	}
	m.s.AnySize = true // most of it is the hole of a file
	m.run(0)
	m.same("README", "alice", "bob", "carol")
}

// The disk fills meanwhile: others write, too. That is seen before it has no byte left,
// or else by a write that fails.
func TestFullMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   int // which call of Now, that of the beginning and then one for each step
		want string
	}{
		{"seen", 2, "MiB are free, and not all is restored"},
		{"not seen", 3, "no space left on device"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, nil)
			m.mount.Unmount(t)
			m.makeSystem(900 << 20)
			m.plug(m.device)
			calls, now := 0, time.Now()
			m.s.Now = func() time.Time {
				if calls++; calls == tt.at {
					m.fillDisk()
				}
				return now
			}
			if err := m.run(firstboot.CodeSpace); !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, expected %s", err, tt.want)
			}
			must(t, os.Remove(m.in("filler")))
			m.run(0)
			m.same("README", "alice", "bob", "carol")
		})
	}
}

// fillDisk makes a file that has all room there is.
func (m *machine) fillDisk() {
	m.t.Helper()
	f, err := os.Create(m.in("filler"))
	must(m.t, err)
	defer f.Close()
	at := int64(0)
	for piece := int64(256 << 20); piece >= 4096; piece /= 2 {
		for {
			if err = unix.Fallocate(int(f.Fd()), 0, at, piece); err != nil {
				break
			}
			at += piece
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		m.t.Errorf("filling the disk: %v, expected %v", err, unix.ENOSPC)
	}
}

// The backup disk is pulled out meanwhile. What the restore has of it stays, and the
// next one goes on.
func TestUnplugged(t *testing.T) {
	m := newMachine(t, nil)
	good := m.device
	image := strings.TrimSpace(m.command("losetup", "--noheadings", "--output=BACK-FILE", good))
	pulled := filepath.Join(t.TempDir(), "pulled.img")
	m.command("cp", "--sparse=always", image, pulled)
	m.plug(m.loop(pulled, "--direct-io=on")) // or what is missing would be read as zeros
	m.s.Progress = func(Progress) { must(t, os.Truncate(pulled, 0)) }
	err := m.run(firstboot.CodeDisk)
	if !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("%v: does not say why", err)
	}
	if got := m.top(); got != filepath.Base(m.staging()) {
		t.Errorf("%s: is there, expected the staging directory alone", got)
	}
	m.s.Progress = nil
	m.plug(good)
	m.run(0)
	m.same("README", "alice", "bob", "carol")
}
