package qemutests

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// withHome puts a home into a laptop's disk: a note, a large file, and enough small ones
// for the tree of @home to have many leaves.
func withHome(t testing.TB, disk rawDisk) {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mount", "umount")
	dir := t.TempDir()
	p := disk.partition(t, rootNumber)
	command(t, "mount", "-t", "btrfs", "-o", fmt.Sprintf("loop,offset=%d,sizelimit=%d,subvol=@home,compress=no", p.Start, p.Size), string(disk), dir)
	defer command(t, "umount", dir)
	for _, name := range []string{"alice", "bob"} {
		check(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	check(t, os.WriteFile(filepath.Join(dir, "alice/note"), []byte("remember the milk\n"), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "alice/big"), bytes.Repeat([]byte("0123456789abcdef"), 1<<16), 0o600))
	for i := range 1500 {
		check(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("bob/%04d", i)), bytes.Repeat([]byte{byte(i)}, 1000), 0o600))
	}
	command(t, "sync", "-f", dir)
}

// wounds are places on the root partition, in bytes, where a byte can be damaged.
type wounds struct {
	leaf, other []ondisk.Physical // all copies of two leaves of the tree of @home
	big         ondisk.Physical   // in the content of alice/big
}

func woundsOf(t testing.TB, disk rawDisk) (w wounds) {
	t.Helper()
	f, err := os.Open(string(disk))
	check(t, err)
	defer f.Close()
	p := disk.partition(t, rootNumber)
	fs, err := reader.Open(io.NewSectionReader(f, p.Start, p.Size), p.Size)
	check(t, err)
	home, err := fs.Subvolume("@home")
	check(t, err)
	extents, err := home.Extents("alice/big")
	check(t, err)
	w.big = extents[0].Physical + 8192
	ref, err := fs.RootRef(home.ID())
	check(t, err)
	raw, h, err := fs.ReadBlock(ref)
	check(t, err)
	if h.Level != 1 {
		t.Fatalf("the tree of @home has level %d; want 1", h.Level)
	}
	ptrs, err := ondisk.DecodeNode(raw)
	check(t, err)
	for at, list := range map[int]*[]ondisk.Physical{len(ptrs) / 2: &w.leaf, len(ptrs) / 3: &w.other} {
		*list, err = fs.Copies(ptrs[at].Block, int64(fs.Super().NodeSize))
		check(t, err)
		if len(*list) != 2 {
			t.Fatalf("a tree block has %d copies; want 2", len(*list))
		}
	}
	return w
}

// wound writes a byte in the guest, past all that the kernel remembers.
func (r *rescued) wound(t testing.TB, at ...ondisk.Physical) {
	t.Helper()
	for _, a := range at {
		r.must(t, "printf X | dd of=/dev/nvme0n1p2 bs=1 count=1 conv=notrunc seek="+strconv.FormatInt(int64(a)+200, 10))
	}
	r.must(t, "sync; echo 3 >/proc/sys/vm/drop_caches")
}

// TestRescueDamaged damages a file system: what has a good copy is healed, what has none
// is named, and all else is saved.
func TestRescueDamaged(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	m := newMedium(t, "bandit-minimal", "")
	disk := rawDisk(laptopDisk(t, "bandit-minimal"))
	withHome(t, disk)
	w := woundsOf(t, disk)
	imgtest.Need(t, "mkfs.btrfs")
	large := nvme(emptyDisk(t, 1<<30), "LARGE")
	command(t, "mkfs.btrfs", "--quiet", "--label", "large", large.File)
	r := startRescue(t, m, m.config(t, string(disk), large))
	r.must(t, "mkimage-rescue check --data")

	r.wound(t, w.leaf[0])
	if out, status := r.run(t, "mkimage-rescue check --scrub --heal"); status != 7 {
		t.Errorf("one copy of a tree block: status %d\n%s", status, out)
	}
	r.must(t, "mkimage-rescue check --scrub")

	r.wound(t, w.big)
	out, status := r.run(t, "mkimage-rescue check --scrub")
	if t.Log(out); status != 7 || !strings.Contains(out, "alice/big") {
		t.Errorf("a byte of a file: status %d\n%s", status, out)
	}

	r.wound(t, w.other...)
	out, status = r.run(t, "mkimage-rescue check")
	if t.Log(out); status != 7 {
		t.Errorf("both copies of a tree block: status %d\n%s", status, out)
	}
	if out, status := r.run(t, "mkimage-rescue save files --subvolume @home /tmp/saved"); status != 5 || !strings.Contains(out, "is in memory") {
		t.Errorf("save into memory: status %d\n%s", status, out)
	}
	r.must(t, "for d in /sys/block/nvme?n1; do grep -q LARGE $d/device/serial && disk=/dev/${d##*/}; done; mkdir -p /mnt/large && mount -t btrfs $disk /mnt/large")
	out, status = r.run(t, "mkimage-rescue save files --subvolume @home /mnt/large/saved")
	if t.Log(out); status != 7 || !strings.Contains(out, "alice/big") {
		t.Errorf("save: status %d\n%s", status, out)
	}
	if got := r.must(t, "cat /mnt/large/saved/alice/note; ls /mnt/large/saved/bob | wc -l"); !strings.Contains(got, "remember the milk\n") {
		t.Errorf("saved:\n%s", got)
	}
	check(t, r.Quit(step(t)))
}
