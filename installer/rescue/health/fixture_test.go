package health

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func command(t testing.TB, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
}

// newImage makes a btrfs with a large file, a compressed one and its snapshot, and
// enough small ones for the tree to have several leaves.
func newImage(t testing.TB) string {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs")
	image := filepath.Join(t.TempDir(), "disk.img")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 128<<20))
	command(t, "mkfs.btrfs", "-q", "--metadata", "dup", image)
	m := imgtest.MountImage(t, image, imgtest.MountOptions{})
	command(t, "btrfs", "subvolume", "create", m.Dir+"/@home")
	must(t, os.Mkdir(m.Dir+"/@home/alice", 0o755), os.Mkdir(m.Dir+"/bob", 0o755))
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(i * i >> 8)
	}
	must(t, os.WriteFile(m.Dir+"/@home/alice/big", big, 0o600), os.WriteFile(m.Dir+"/@home/alice/packed", nil, 0o600))
	command(t, "btrfs", "property", "set", m.Dir+"/@home/alice/packed", "compression", "zstd")
	must(t, os.WriteFile(m.Dir+"/@home/alice/packed", bytes.Repeat([]byte("pack my box "), 20000), 0o600))
	for i := range 700 {
		must(t, os.WriteFile(fmt.Sprintf("%s/bob/%03d", m.Dir, i), bytes.Repeat([]byte{byte(i)}, 1500), 0o600))
	}
	command(t, "sync", "-f", m.Dir)
	command(t, "btrfs", "subvolume", "snapshot", "-r", m.Dir+"/@home", m.Dir+"/before")
	m.Unmount(t)
	return image
}

// disk is an image that is open.
type disk struct {
	*os.File
	fs *reader.FS
}

func open(t testing.TB, image string) disk {
	t.Helper()
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	must(t, err)
	fs, err := reader.Open(f, info.Size())
	must(t, err)
	return disk{f, fs}
}

func (d disk) flip(t testing.TB, at ondisk.Physical) {
	t.Helper()
	var b [1]byte
	_, err := d.ReadAt(b[:], int64(at))
	must(t, err)
	b[0] ^= 0x55
	_, err = d.WriteAt(b[:], int64(at))
	must(t, err)
}

// at is where a byte of a file is, or, of one that is compressed, its first one.
func (d disk) at(t testing.TB, name string, offset int64) ondisk.Physical {
	t.Helper()
	volume, err := d.fs.Subvolume("")
	must(t, err)
	extents, err := volume.Extents(name)
	must(t, err)
	for _, e := range extents {
		if e.FileOffset <= offset && offset < e.FileOffset+e.Length {
			if e.Compression != ondisk.CompressNone {
				return e.Physical
			}
			return e.Physical + ondisk.Physical(e.Offset+offset-e.FileOffset)
		}
	}
	t.Fatalf("%s has no extent at %d", name, offset)
	return 0
}

// leaf is where the copies of a leaf in the middle of the top level are.
func (d disk) leaf(t testing.TB) []ondisk.Physical {
	t.Helper()
	ref, err := d.fs.RootRef(ondisk.FSTree)
	must(t, err)
	raw, h, err := d.fs.ReadBlock(ref)
	must(t, err)
	if h.Level != 1 {
		t.Fatalf("the tree of the top level has level %d; want 1", h.Level)
	}
	ptrs, err := ondisk.DecodeNode(raw)
	must(t, err)
	list, err := d.fs.Copies(ptrs[len(ptrs)/2].Block, int64(d.fs.Super().NodeSize))
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("a tree block has %d copies; want 2", len(list))
	}
	return list
}

// checkImage is what our check says of an image.
func checkImage(t testing.TB, image string) *Btrfs {
	t.Helper()
	f, err := os.Open(image)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	var last, all int64
	report, err := CheckBtrfs(t.Context(), f, info.Size(), true, func(done, total int64) { last, all = done, total })
	must(t, err)
	if last != all || last != report.Bytes {
		t.Errorf("progress ended at %d of %d; %d bytes were compared", last, all, report.Bytes)
	}
	return report
}

// names are the damaged files of a report.
func (b *Btrfs) names() string {
	var list []string
	for _, f := range b.Files {
		list = append(list, fmt.Sprintf("%s:%s%v", f.Subvolume, f.Path, f.Ranges))
	}
	return strings.Join(list, " ")
}
