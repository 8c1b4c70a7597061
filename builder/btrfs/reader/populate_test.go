package reader_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// populate makes one of everything below dir, on a mounted btrfs.
func populate(t testing.TB, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{0, 1, 100, 2047, 2048, 2049, 4095, 4096, 4097, 131071, 131072, 131073, 1<<20 + 123} {
		must(os.WriteFile(at(fmt.Sprintf("text-%d", size)), text(size), 0o644))
		noise := make([]byte, size)
		random.Read(noise)
		must(os.WriteFile(at(fmt.Sprintf("noise-%d", size)), noise, 0o600))
		must(os.WriteFile(at(fmt.Sprintf("half-%d", size)), append(text(size), noise...), 0o600))
	}
	must(os.Symlink("text-100", at("link")))
	must(os.Symlink("/nested/deep", at("link-absolute")))
	must(os.Symlink(strings.Repeat("x", 3000), at("link-dangling")))
	must(os.MkdirAll(at("a/b/c/d"), 0o1777))
	must(os.Mkdir(at("many"), 0o755))
	for i := range 1500 {
		must(os.WriteFile(at(fmt.Sprintf("many/file-%04d", i)), []byte(fmt.Sprint(i)), 0o644))
	}
	for i := 0; i < 1500; i += 3 {
		must(os.Remove(at(fmt.Sprintf("many/file-%04d", i))))
	}
	must(os.Mkdir(at("names"), 0o755))
	for _, name := range append(collidingNames(), strings.Repeat("n", 255), "not-utf8-\xff\xfe", "new\nline", "späce und ß") {
		must(os.WriteFile(at("names/"+name), []byte(name), 0o644))
	}
	must(os.WriteFile(at("linked"), []byte("many names"), 0o644))
	for i := range 300 {
		must(os.Link(at("linked"), at(fmt.Sprintf("names/%s-%d", strings.Repeat("l", 66), i))))
	}
	must(unix.Mknod(at("char"), unix.S_IFCHR|0o620, int(unix.Mkdev(10, 300))))
	must(unix.Mknod(at("block"), unix.S_IFBLK|0o660, int(unix.Mkdev(8, 1))))
	must(unix.Mknod(at("fifo"), unix.S_IFIFO|0o600, 0))
	must(os.Chmod(at("text-1"), 0o755|os.ModeSetuid|os.ModeSetgid))
	must(os.Chown(at("text-1"), 1000, 100))
	must(os.Chmod(at("text-1"), 0o755|os.ModeSetuid|os.ModeSetgid))
	if l, err := net.Listen("unix", at("socket")); err == nil {
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
	}
	must(unix.Setxattr(at("text-100"), "user.small", []byte("value"), 0))
	must(unix.Setxattr(at("text-100"), "user.empty", nil, 0))
	must(unix.Setxattr(at("text-100"), "user.large", bytes.Repeat([]byte("v"), 3000), 0))
	must(unix.Setxattr(at("a"), "trusted.dir", []byte{0, 1, 2}, 0))
	must(unix.Lsetxattr(at("link"), "trusted.link", []byte("on a symlink"), 0))
	makeExtents(t, dir, random)
}

// makeExtents makes the files whose extents are not just one after another.
func makeExtents(t testing.TB, dir string, random *rand.ChaCha8) {
	t.Helper()
	edit := func(name string, do func(f *os.File) error) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := do(f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	write := func(f *os.File, at int64, n int) error {
		b := text(n)
		random.Read(b[:n/2])
		_, err := f.WriteAt(b, at)
		return err
	}
	edit("sparse", func(f *os.File) error {
		for _, at := range []int64{0, 1 << 20, 5<<20 + 17, 1 << 26} {
			if err := write(f, at, 10_000); err != nil {
				return err
			}
		}
		return f.Truncate(1<<26 + 50_000)
	})
	edit("hole-only", func(f *os.File) error { return f.Truncate(1_000_000) })
	edit("prealloc", func(f *os.File) error { return unix.Fallocate(int(f.Fd()), 0, 0, 1<<20) })
	edit("prealloc", func(f *os.File) error { return write(f, 400_000, 5000) })
	edit("prealloc-beyond", func(f *os.File) error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20)
	})
	edit("overwritten", func(f *os.File) error { return write(f, 0, 1<<20) })
	for _, at := range []int64{4096, 300_000, 777_777} {
		edit("overwritten", func(f *os.File) error { return write(f, at, 9999) })
	}
	edit("punched", func(f *os.File) error { return write(f, 0, 1<<20) })
	edit("punched", func(f *os.File) error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 100_000, 200_000)
	})
	edit("cut", func(f *os.File) error { return write(f, 0, 1<<20) })
	edit("cut", func(f *os.File) error { return f.Truncate(123_457) })
	edit("cut", func(f *os.File) error { return f.Truncate(400_000) })
	source, err := os.Open(filepath.Join(dir, "overwritten"))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	edit("cloned", func(f *os.File) error { return unix.IoctlFileClone(int(f.Fd()), int(source.Fd())) })
	edit("cloned-part", func(f *os.File) error {
		return unix.IoctlFileCloneRange(int(f.Fd()), &unix.FileCloneRange{
			Src_fd: int64(source.Fd()), Src_offset: 65536, Src_length: 262144, Dest_offset: 8192})
	})
}

// text returns n bytes that compress.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of a text that compresses\n", i*i)
	}
	return b.Bytes()[:n]
}

// collidingNames returns two names with the same hash.
func collidingNames() []string {
	random := rand.NewChaCha8([32]byte{2})
	seen := map[uint64]string{}
	for {
		var raw [8]byte
		random.Read(raw[:])
		name := "collision-" + hex.EncodeToString(raw[:])
		hash := ondisk.NameHash(name)
		if other, ok := seen[hash]; ok && other != name {
			return []string{other, name}
		}
		seen[hash] = name
	}
}
