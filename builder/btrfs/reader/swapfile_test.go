package reader_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// TestSwapfileOffset compares with btrfs inspect-internal map-swapfile, and
// has one file for every way to be wrong.
func TestSwapfileOffset(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "btrfs", "mkswap", "chattr", "fallocate", "sh")
	img := mkfs(t, 1<<30)
	dir, unmount := mount(t, img, "")
	run(t, "sh", "-ec", `cd "$0"
		new() { : > $1; chattr +C $1; chmod 600 $1; }
		btrfs -q filesystem mkswapfile -s 64M good
		btrfs -q filesystem mkswapfile -s 400M large
		new full; dd if=/dev/zero of=full bs=1M count=8 status=none; mkswap -q full
		new suspended; fallocate -l 8M suspended; mkswap -q suspended
		printf 'S1SUSPEND\0' | dd of=suspended bs=1 seek=4086 conv=notrunc status=none
		fallocate -l 8M cow; chmod 600 cow; mkswap -q cow
		new hole; truncate -s 8M hole; mkswap -q hole
		new no-signature; fallocate -l 8M no-signature
		new shared; fallocate -l 8M shared; mkswap -q shared; sync; new shared-copy; cp --reflink=always shared shared-copy
		new small; fallocate -l 4096 small
		btrfs -q subvolume create vol; new vol/swap; fallocate -l 8M vol/swap; mkswap -q vol/swap; sync
		btrfs -q subvolume snapshot vol snap
		btrfs -q subvolume create big; new big/swap; fallocate -l 8M big/swap; mkswap -q big/swap; (cd big; seq 2000 | xargs touch); sync
		btrfs -q subvolume snapshot big bigger
		btrfs -q subvolume create alone; new alone/swap; fallocate -l 8M alone/swap; mkswap -q alone/swap; sync
		btrfs -q subvolume snapshot alone gone; sync; btrfs -q subvolume delete --commit-after gone; btrfs subvolume sync . >/dev/null
		new too-long; fallocate -l 16M too-long; mkswap -q too-long; truncate -s 8M too-long
		mkdir dir; ln -s good link; sync`, dir)
	want := map[string]string{}
	for _, name := range []string{"good", "large", "full", "suspended", "alone/swap"} {
		want[name] = strings.TrimSpace(run(t, "btrfs", "inspect-internal", "map-swapfile", "-r", filepath.Join(dir, name)))
	}
	for _, name := range []string{"good", "large", "full", "alone/swap"} {
		run(t, "sh", "-ec", `swapon "$0" && swapoff "$0"`, filepath.Join(dir, name))
	}
	unmount()
	v := volume(t, open(t, img), "")
	for name, offset := range want {
		s, err := v.Swapfile(name)
		if err != nil {
			t.Errorf("Swapfile(%q): %v", name, err)
			continue
		}
		if got, err := v.SwapfileOffset(name); err != nil || strconv.FormatInt(got, 10) != offset {
			t.Errorf("SwapfileOffset(%q) = %d, %v; btrfs says %s", name, got, err, offset)
		}
		if s.Fragments < 1 || s.UUID.IsZero() || (name == "suspended") != (s.Signature == "S1SUSPEND") {
			t.Errorf("Swapfile(%q) = %+v", name, s)
		}
	}
	for name, reason := range map[string]string{
		"cow": "NODATACOW", "hole": "hole at", "no-signature": "signature", "shared": "shared", "small": "at least two pages",
		"vol/swap": "shared with", "snap/swap": "shared with", "big/swap": "shared with a snapshot: tree block", "too-long": "header counts 4096 pages, the file has 2048",
		"dir": "not a regular file", "link": "not a regular file", "absent": "does not exist",
	} {
		if got, err := v.SwapfileOffset(name); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("SwapfileOffset(%q) = %d, %v; want an error with %q", name, got, err, reason)
		}
	}
}

// TestSwapfileBalanced finds a swapfile that a balance has moved, where the kernel
// swaps to it.
func TestSwapfileBalanced(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "btrfs", "swapon")
	img := mkfs(t, 1<<30)
	dir, unmount := mount(t, img, "")
	file := filepath.Join(dir, "@swap/swapfile")
	run(t, "sh", "-ec", `cd "$0"; btrfs -q subvolume create @swap; btrfs -q filesystem mkswapfile -s 64M @swap/swapfile; sync
		btrfs balance start --full-balance . >/dev/null; swapon @swap/swapfile; swapoff @swap/swapfile; sync`, dir)
	want := imgtest.SwapfileOffset(t, file)
	unmount()
	if got, err := volume(t, open(t, img), "").SwapfileOffset("@swap/swapfile"); got != want || err != nil {
		t.Errorf("SwapfileOffset = %d, %v; btrfs says %d", got, err, want)
	}
}

// TestSwapfileProfile refuses a swapfile in DUP data, as the kernel does.
func TestSwapfileProfile(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkswap", "chattr", "fallocate")
	img := mkfs(t, 512<<20, "-d", "dup")
	dir, unmount := mount(t, img, "")
	run(t, "sh", "-ec", `: > "$0"; chattr +C "$0"; chmod 600 "$0"; fallocate -l 8M "$0"; mkswap -q "$0"`, filepath.Join(dir, "swap"))
	unmount()
	if _, err := volume(t, open(t, img), "").SwapfileOffset("swap"); err == nil || !strings.Contains(err.Error(), "profile single") {
		t.Errorf("SwapfileOffset in DUP data = %v; want a refusal", err)
	}
}

// TestSwapfileOfPowerCut copies a file system that is mounted, after an fsync,
// and then loses the first copy of all metadata: where the swapfile is must be
// known all the same, since a hibernated system depends on it.
func TestSwapfileOfPowerCut(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "btrfs", "dd", "sh")
	img := mkfs(t, 512<<20, "-m", "dup")
	dir, _ := mount(t, img, "commit=300")
	run(t, "sh", "-ec", `cd "$0"; btrfs -q subvolume create @swap; btrfs -q filesystem mkswapfile -s 16M @swap/swapfile; sync
		printf 'S1SUSPEND\0' | dd of=@swap/swapfile bs=1 seek=4086 conv=notrunc,fsync status=none
		dd if=/dev/zero of=logged bs=4k count=5 conv=fsync status=none; cp --sparse=always "$1" "$1.copy"`, dir, img)
	want := strings.TrimSpace(run(t, "btrfs", "inspect-internal", "map-swapfile", "-r", filepath.Join(dir, "@swap/swapfile")))
	f := open(t, img+".copy")
	if !f.LogDirty() {
		t.Error("LogDirty() = false; want true")
	}
	check := func(when string, damaged bool) {
		t.Helper()
		seen := 0
		f := open(t, img+".copy")
		f.OnDamage(func(reader.Damage) { seen++ })
		s, err := volume(t, f, "").Swapfile("@swap/swapfile")
		if err != nil || strconv.FormatInt(s.Offset, 10) != want || s.Signature != swaparea.HibernateSignature {
			t.Errorf("%s: Swapfile = %+v, %v; want offset %s", when, s, err, want)
		}
		if (seen > 0) != damaged {
			t.Errorf("%s: %d damaged blocks were met", when, seen)
		}
	}
	check("dirty log", false)
	damageFirstCopies(t, img+".copy", f)
	check("first copies damaged", true)
}

// damageFirstCopies overwrites the first copy of every chunk of metadata.
func damageFirstCopies(t *testing.T, img string, f *reader.FS) {
	t.Helper()
	file, err := os.OpenFile(img, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	damaged := 0
	for _, c := range f.Chunks() {
		if len(c.Chunk.Stripes) != 2 {
			continue
		}
		damaged++
		if _, err := file.WriteAt(bytes.Repeat([]byte{0xa5}, int(c.Chunk.Length)), int64(c.Chunk.Stripes[0].Offset)); err != nil {
			t.Fatal(err)
		}
	}
	if damaged < 2 {
		t.Errorf("%d chunks with two copies; want metadata and system", damaged)
	}
}
