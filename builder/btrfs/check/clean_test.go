package check_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// wantClean fails for every problem found.
func wantClean(t *testing.T, r *check.Report) {
	t.Helper()
	for _, p := range r.Problems {
		t.Errorf("problem: %v", p)
	}
	for _, s := range r.Skipped {
		t.Errorf("skipped: %s", s)
	}
	if r.Found != int64(len(r.Problems)) {
		t.Errorf("Found = %d with %d problems", r.Found, len(r.Problems))
	}
}

func TestCleanMkfs(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"defaults", nil},
		{"xxhash", []string{"--csum", "xxhash"}},
		{"sha256", []string{"--csum", "sha256"}},
		{"blake2", []string{"--csum", "blake2"}},
		{"block group tree", []string{"-O", "block-group-tree"}},
		{"no free space tree, holes", []string{"-O", "^free-space-tree,^no-holes"}},
		{"mixed", []string{"--mixed"}},
		{"single metadata, small blocks", []string{"-m", "single", "-n", "4k"}},
		{"data twice, large blocks", []string{"-d", "dup", "-n", "64k"}},
		{"compressed with subvolume", []string{"--compress", "zstd", "--subvol", "sub"}},
		{"shrunk", []string{"--shrink"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := makeImage(t, c.args...).run(t, check.Options{Data: true})
			wantClean(t, r)
			if r.Inodes < 200 || r.Names < 200 || r.Blocks < 8 || r.BlockCopies < r.Blocks || r.DataBytes < 9000 ||
				r.VerifiedBytes < r.DataBytes || r.Extents < 3 || r.Subvolumes < 2 {
				t.Errorf("Run = %+v; counts are too low", r)
			}
		})
	}
}

// TestCleanKernel checks file systems that the kernel has worked on.
func TestCleanKernel(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "mount", "umount", "chattr", "fallocate", "bash")
	for _, c := range []struct {
		name, options, last string
		args                []string
	}{
		{"balanced", "compress=zstd", `sync; btrfs -q balance start --full-balance . >/dev/null; btrfs -q filesystem defragment -r src`, nil},
		{"sources of snapshots deleted", "noatime", `btrfs -q subvolume delete s1/nested s1; sync; echo y > s2/more; btrfs subvolume sync . >/dev/null
			btrfs -q balance start -m . >/dev/null`, []string{"-O", "block-group-tree", "--csum", "xxhash"}},
		{"quota, lzo, space cache", "compress-force=lzo", `btrfs quota enable .; btrfs -q balance start -d . >/dev/null; btrfs -q quota rescan -w . >/dev/null`,
			[]string{"-O", "^no-holes,^free-space-tree", "--csum", "sha256", "-n", "4k"}},
		{"simple quota, single metadata", "autodefrag", `btrfs quota enable --simple .; cp -a s2/src s2/src2`,
			[]string{"-m", "single", "-d", "dup", "--csum", "blake2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := useImage(t, c.options, c.last, c.args...)
			wantClean(t, m.run(t, check.Options{Data: true}))
		})
	}
}

// useScript makes what file systems get in use: snapshots that diverge, preallocated and
// punched ranges, nodatacow files, a default subvolume. useMuch makes what takes many
// steps after its first half.
var useScript = [2]string{`set -e
cp -a "$1" src; btrfs -q subvolume create s1; btrfs -q subvolume create s1/nested
cp -a src s1/; cp -a src s1/nested/; sync
btrfs -q subvolume snapshot s1 s2; btrfs -q subvolume snapshot -r s1 readonly
rm -rf s2/src/dir/deep/*1*; for i in $(seq 50); do echo $i > s2/new$i; done
cp --reflink=always src/dir/noise s2/reflink; cp --reflink=always src/dir/noise src/reflink
dd if=/dev/urandom of=src/reflink bs=4k count=5 seek=10 conv=notrunc status=none
fallocate -l 4M prealloc; dd if=/dev/urandom of=prealloc bs=64k count=3 seek=7 conv=notrunc status=none
fallocate -n -o 10M -l 1M prealloc
mkdir nocow; chattr +C nocow; dd if=/dev/urandom of=nocow/f bs=256k count=4 status=none; cp --reflink=always nocow/f nocow/g
`, `set -e
fallocate -p -o 64k -l 32k src/dir/noise; truncate -s 70k src/reflink
sync; btrfs -q subvolume snapshot s2 s3; btrfs -q subvolume snapshot s3 s4; echo x > s4/changed; btrfs -q subvolume delete s3
mv s2/new5 s2/renamed; mkfifo pipe; mknod null c 1 3; btrfs -q subvolume set-default s2
`}

// useMuch makes more reflinks than fit in an extent item, more hard links than fit in an
// INODE_REF, and a file in fragments. A shell would start a program for each.
func useMuch(t *testing.T, mount string) {
	t.Helper()
	at := func(format string, args ...any) string { return filepath.Join(mount, fmt.Sprintf(format, args...)) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(errors.Join(os.Mkdir(at("many"), 0o755), os.Mkdir(at("links"), 0o755), os.WriteFile(at("links/x"), nil, 0o644)))
	noise, err := os.Open(at("src/dir/noise"))
	must(err)
	defer noise.Close()
	for i := range 60 {
		clone, err := os.Create(at("many/%d", i+1))
		must(err)
		must(errors.Join(unix.IoctlFileClone(int(clone.Fd()), int(noise.Fd())), clone.Close()))
	}
	for i := range 400 {
		must(os.Link(at("links/x"), at("links/a_long_name_of_which_not_many_fit_in_one_item_%d", i+1)))
	}
	fragments, err := os.Create(at("fragments"))
	must(err)
	defer fragments.Close()
	random := rand.NewChaCha8([32]byte{})
	for i := range int64(40) {
		b := make([]byte, ondisk.SectorSize)
		random.Read(b)
		_, err := fragments.WriteAt(b, (i+1)*7%100*ondisk.SectorSize)
		must(errors.Join(err, fragments.Sync()))
	}
}

// useImage makes a file system, mounts it, runs useScript with useMuch and last in
// it, and unmounts it.
func useImage(t *testing.T, options, last string, args ...string) *image {
	t.Helper()
	dir := t.TempDir()
	source, path, mount := filepath.Join(dir, "source"), filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	sourceTree(t, source)
	if err := os.Mkdir(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 600<<20); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs.btrfs", append(append([]string{"-q"}, args...), path)...)
	command(t, "mount", "-o", "loop,"+imgtest.NoBarrier+","+options, path, mount)
	unmount := sync.OnceFunc(func() { command(t, "umount", mount) })
	t.Cleanup(unmount)
	useShell(t, mount, useScript[0], source)
	useMuch(t, mount)
	useShell(t, mount, useScript[1]+last+"\nsync", source)
	unmount()
	command(t, "btrfs", "check", "--readonly", path)
	return openImage(t, path)
}

// useShell runs a script in a mounted file system.
func useShell(t *testing.T, mount, text, source string) {
	t.Helper()
	script := exec.Command("bash", "-c", text, "use", source)
	script.Dir = mount
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestProgressAndCancel(t *testing.T) {
	m := makeImage(t, "--mixed")
	var calls, last, total int64
	r := m.run(t, check.Options{Data: true, Workers: 3, Progress: func(d, of int64) { calls, last, total = calls+1, d, of }})
	wantClean(t, r)
	if calls == 0 || last != total || total != r.VerifiedBytes || total == 0 {
		t.Errorf("Progress: %d calls, the last %d of %d, %d bytes verified", calls, last, total, r.VerifiedBytes)
	}
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := check.Run(ctx, f, check.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run with a cancelled context = %v; want context.Canceled", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	if _, err := check.Run(ctx, f, check.Options{Data: true, Progress: func(int64, int64) { cancel() }}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run cancelled while reading data = %v; want context.Canceled", err)
	}
}
