package qemutests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// repositoryPath is where a backup disk has the repository.
const repositoryPath = "restic/" + homeUser

// diskOptions say how a backup disk is made.
type diskOptions struct {
	label       string // of the file system; "backup" by default
	partitioned bool   // it is in a partition, else it is the whole disk
	dirty       bool   // it was pulled out: what was written last is in the log alone
}

// backup is a disk with a repository.
type backup struct {
	file string
	uuid string // of the file system
}

// Sizes of a backup disk.
const (
	backupRoom  = 512 << 20 // beside the repository
	backupStart = 1 << 20   // of the partition
)

// backupDisk makes a disk with a btrfs file system that has a repository. The
// tools are those of others. A dirty one needs root.
func backupDisk(t testing.TB, r repository, o diskOptions) backup {
	t.Helper()
	imgtest.Need(t, "mkfs.btrfs", "cp", "sgdisk", "dd")
	if o.label == "" {
		o.label = "backup"
	}
	dir := t.TempDir()
	top := filepath.Join(dir, "top")
	check(t, os.MkdirAll(filepath.Join(top, filepath.Dir(repositoryPath)), 0o755))
	command(t, "cp", "-a", r.dir, filepath.Join(top, repositoryPath))
	used, err := strconv.ParseInt(strings.Fields(command(t, "du", "-sb", top))[0], 10, 64)
	check(t, err)
	b := backup{file: filepath.Join(dir, "backup.img"), uuid: newUUID(t)}
	size := (used + backupRoom) &^ (1<<20 - 1)
	makeFile(t, b.file, size)
	command(t, "mkfs.btrfs", "--quiet", "--label", o.label, "--uuid", b.uuid, "--rootdir", top, b.file)
	check(t, os.RemoveAll(top))
	if o.dirty {
		b.file = pullOut(t, b.file)
	}
	if o.partitioned {
		b.file = intoPartition(t, b.file, size)
	}
	return b
}

// newUUID returns one that no other file system has.
func newUUID(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	check(t, err)
	return strings.TrimSpace(string(text))
}

// makeFile makes a file that is one hole.
func makeFile(t testing.TB, name string, size int64) {
	t.Helper()
	f, err := os.Create(name)
	check(t, err)
	defer f.Close()
	check(t, f.Truncate(size))
}

// loggedFile is in the top folder of a dirty disk, once its log is replayed.
const loggedFile = "logged"

// pullOut returns a copy of a file system as it is on a disk that is pulled out
// while it is mounted, after a file was synced: the file is in the log tree,
// which the next mount replays.
func pullOut(t testing.TB, image string) string {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mount", "umount", "btrfs", "cp")
	at, copied := t.TempDir(), filepath.Join(t.TempDir(), "backup.img")
	// The log is there until the next commit, which is long after the copy.
	command(t, "mount", "-t", "btrfs", "-o", "loop,commit=600", image, at)
	defer command(t, "umount", at)
	command(t, "sync", "-f", at)
	f, err := os.Create(filepath.Join(at, loggedFile))
	check(t, err)
	defer f.Close()
	_, err = f.WriteString("synced\n")
	check(t, err)
	check(t, f.Sync())
	command(t, "cp", "--sparse=always", image, copied)
	if logRoot(t, copied) == 0 {
		t.Fatalf("%s: has no log: it was committed before it was copied", copied)
	}
	return copied
}

var logRootLine = regexp.MustCompile(`(?m)^log_root\s+(\d+)$`)

// logRoot returns where the log tree of a file system is, 0 when it has none.
func logRoot(t testing.TB, image string) int64 {
	t.Helper()
	m := logRootLine.FindStringSubmatch(command(t, "btrfs", "inspect-internal", "dump-super", image))
	if m == nil {
		t.Fatalf("%s: its superblock has no log_root", image)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	check(t, err)
	return n
}

// intoPartition returns a disk with a file system in its one partition.
func intoPartition(t testing.TB, image string, size int64) string {
	t.Helper()
	disk := image + ".disk"
	makeFile(t, disk, backupStart+size+1<<20)
	command(t, "sgdisk", "--new", fmt.Sprintf("1:%dM:+%dM", backupStart>>20, size>>20), "--typecode=1:8300", "--change-name=1:Backup", disk)
	command(t, "dd", "if="+image, "of="+disk, "bs=1M", fmt.Sprintf("seek=%d", backupStart>>20), "conv=sparse,notrunc", "status=none")
	check(t, os.Remove(image))
	return disk
}

// TestBackupDisk mounts disks and opens the repository there.
func TestBackupDisk(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "blkid", "losetup")
	r := makeRepository(t, repositoryOptions{files: smallHome})
	for _, tt := range []struct {
		name  string
		o     diskOptions
		label string
	}{
		{"whole", diskOptions{}, "backup"},
		{"partition", diskOptions{label: "my backup", partitioned: true}, "my backup"},
		{"dirty", diskOptions{dirty: true}, "backup"},
		{"dirty partition", diskOptions{dirty: true, partitioned: true}, "backup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := backupDisk(t, r, tt.o)
			offset := int64(0)
			if tt.o.partitioned {
				p := rawDisk(b.file).partition(t, 1)
				if offset = p.Start; offset != backupStart {
					t.Errorf("the partition is at %d; want %d", offset, backupStart)
				}
				command(t, "sgdisk", "--verify", b.file)
			}
			device := command(t, "losetup", "--find", "--show", "--offset", strconv.FormatInt(offset, 10), b.file)
			defer command(t, "losetup", "--detach", device)
			if got := command(t, "blkid", "-p", "-s", "LABEL", "-o", "value", device); got != tt.label {
				t.Errorf("label %q; want %q", got, tt.label)
			}
			if got := command(t, "blkid", "-p", "-s", "UUID", "-o", "value", device); got != b.uuid {
				t.Errorf("UUID %q; want %q", got, b.uuid)
			}
			if has := logRoot(t, device) != 0; has != tt.o.dirty {
				t.Errorf("it has a log: %v; want %v", has, tt.o.dirty)
			}
			at := t.TempDir()
			command(t, "mount", "-t", "btrfs", device, at)
			defer command(t, "umount", at)
			if _, err := os.Stat(filepath.Join(at, loggedFile)); (err == nil) != tt.o.dirty {
				t.Errorf("%s: %v; want it: %v", loggedFile, err, tt.o.dirty)
			}
			on := repository{dir: filepath.Join(at, repositoryPath), password: r.password}
			wantSnapshots(t, on, homeUser, newestTime)
		})
	}
}
