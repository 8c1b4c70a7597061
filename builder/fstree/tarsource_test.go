package fstree

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func gzipped(t testing.TB, data []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(data)
	must(t, err)
	must(t, w.Close())
	return buf.Bytes()
}

func zstdCompressed(t testing.TB, data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	must(t, err)
	return w.EncodeAll(data, nil)
}

// openBytes opens an archive in a file of these bytes.
func openBytes(t testing.TB, data []byte) (*TarSource, string, error) {
	t.Helper()
	path := t.TempDir() + "/archive"
	must(t, os.WriteFile(path, data, 0o600))
	s, err := OpenTar(context.Background(), path, t.TempDir(), TarOptions{})
	return s, path, err
}

func TestOpenTar(t *testing.T) {
	plain := pack(t, tarFileOf("d/a", "1"), tarFileOf("b", strings.Repeat("x", 100000)))
	half := len(plain) / 2
	tests := []struct {
		name string
		data []byte
	}{
		{"plain", plain},
		{"gzip", gzipped(t, plain)},
		{"gzip in two members", append(gzipped(t, plain[:half]), gzipped(t, plain[half:])...)},
		{"zstd", zstdCompressed(t, plain)},
		{"zstd in two frames", append(zstdCompressed(t, plain[:half]), zstdCompressed(t, plain[half:])...)},
	}
	want, err := scanBytes(plain)
	must(t, err)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, path, err := openBytes(t, tt.data)
			must(t, err)
			diff(t, "tree", listing(t, want), listing(t, s.Tree))
			must(t, s.Close())
			e := s.Tree.Lookup("b")
			f, err := e.Content.Open(e)
			must(t, err)
			_, err = f.ReadAt(make([]byte, 1), 0)
			wantInputError(t, err, path+": b: byte 0", "closed")
		})
	}
}

func TestOpenTarErrors(t *testing.T) {
	plain := pack(t, tarFileOf("a", strings.Repeat("random-ish ", 1000)))
	packed, zpacked := gzipped(t, plain), zstdCompressed(t, plain)
	flipped := bytes.Clone(packed)
	flipped[len(flipped)-6] ^= 1 // the CRC
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "at byte 0: truncated: it ends at byte 0 within a header"},
		{"lzip", []byte("LZIP\x01\x0c"), "compressed with lzip, expected a tar archive, plain or compressed with gzip, zstd, xz or bzip2"},
		{"zip", []byte("PK\x03\x04aaaaaa"), "compressed with zip"},
		{"gzip cut", packed[:len(packed)-9], "gzip: unexpected EOF"},
		{"gzip cut in its header", packed[:5], "gzip: "},
		{"gzip damaged", flipped, "gzip: gzip: invalid checksum"},
		{"zstd cut", zpacked[:len(zpacked)-9], "zstd: unexpected EOF"},
		{"zstd with a huge window", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x89, 1, 0, 0}, "zstd: window size exceeded"},
		{"xz cut", []byte("\xfd7zXZ\x00\x00"), "xz: "},
		{"zstd with the largest window", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x88, 1, 0, 0}, "truncated: it ends at byte 0 "},
		{"gzip of a cut archive", gzipped(t, plain[:700]), "truncated: it ends at byte 700"},
		{"gzip of text", gzipped(t, []byte(strings.Repeat("text", 200))), "no tar header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, path, err := openBytes(t, tt.data)
			wantInputError(t, err, path+": ", tt.want)
		})
	}
	_, err := OpenTar(context.Background(), "/absent.tar", t.TempDir(), TarOptions{})
	wantInputError(t, err, "open /absent.tar: no such file")
	_, err = OpenTar(context.Background(), t.TempDir(), t.TempDir(), TarOptions{})
	wantInputError(t, err, "is a directory, expected a tar archive")
}

func TestOpenTarSpoolErrors(t *testing.T) {
	path := t.TempDir() + "/x.tar.gz"
	must(t, os.WriteFile(path, gzipped(t, endOfArchive), 0o600))
	if _, err := OpenTar(context.Background(), path, "/absent", TarOptions{}); err == nil || !strings.HasPrefix(err.Error(), "spool file: open /absent/") || fault.ClassOf(err) != fault.Internal {
		t.Errorf("error %v; want one about the spool file", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := OpenTar(ctx, path, t.TempDir(), TarOptions{}); !errors.Is(err, context.Canceled) || fault.ClassOf(err) == fault.Input {
		t.Errorf("error %v; want %v, which is no fault of the input", err, context.Canceled)
	}
}

// The spool file has no name, whether the archive is good or bad.
func TestOpenTarLeavesNothing(t *testing.T) {
	spoolDir := t.TempDir()
	for _, data := range [][]byte{endOfArchive, []byte("no archive")} {
		path := t.TempDir() + "/x.tar.gz"
		must(t, os.WriteFile(path, gzipped(t, data), 0o600))
		s, err := OpenTar(context.Background(), path, spoolDir, TarOptions{})
		if err == nil {
			defer s.Close()
		}
		left, err := os.ReadDir(spoolDir)
		must(t, err)
		if len(left) != 0 {
			t.Errorf("left %v", left)
		}
	}
}

// A pipe is spooled even if what comes through it is plain.
func TestOpenTarFromPipe(t *testing.T) {
	for name, data := range map[string][]byte{"plain": pack(t, tarFileOf("a", "1")), "gzip": gzipped(t, pack(t, tarFileOf("a", "1")))} {
		r, w, err := os.Pipe()
		must(t, err)
		go func() {
			defer w.Close()
			_, _ = w.Write(data)
		}()
		s, err := openArchive(context.Background(), r, t.TempDir(), TarOptions{Name: "pipe"})
		must(t, err)
		if s.file == r || s.Tree.Lookup("a") == nil {
			t.Errorf("%s: not spooled, or no tree", name)
		}
		must(t, s.Close())
		must(t, r.Close())
	}
}

func TestTarSourceCloseReportsChange(t *testing.T) {
	s, path, err := openBytes(t, pack(t, tarFileOf("a", "1")))
	must(t, err)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write([]byte("x"))
	must(t, err)
	must(t, f.Close())
	setTime(t, path, s.stat.Mtim.Sec, s.stat.Mtim.Nsec)
	wantInputError(t, s.Close(), path+": changed while it was read: 2049 bytes, it had 2048")

	s, path, err = openBytes(t, pack(t, tarFileOf("a", "1")))
	must(t, err)
	setTime(t, path, 1, 2)
	wantInputError(t, s.Close(), path+": changed while it was read: 2048 bytes")
}

// A small file must not demand much memory.
func TestDecompressMemory(t *testing.T) {
	bomb := zstdCompressed(t, make([]byte, 64<<20))
	d, err := decompress(bytes.NewReader(bomb))
	must(t, err)
	n, err := io.Copy(io.Discard, d)
	must(t, err)
	must(t, d.Close())
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	if n != 64<<20 || stats.Sys > 1<<30 {
		t.Errorf("unpacked %d bytes with %d of memory", n, stats.Sys)
	}
}

func TestContextReader(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	r := contextReader{ctx, strings.NewReader("ab")}
	buf := make([]byte, 1)
	if n, err := r.Read(buf); n != 1 || err != nil {
		t.Errorf("Read = %d, %v; want 1, nil", n, err)
	}
	cancel()
	if n, err := r.Read(buf); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %d, %v; want 0, %v", n, err, context.Canceled)
	}
}
