package bootspec_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/nix-community/go-nix/pkg/nar"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

const goldenDir = "../nix/testdata/golden"

// golden returns the files and the targets of the links of the golden toplevel,
// or of another of its store objects, by their path in it.
func golden(t testing.TB, store string) map[string]string {
	t.Helper()
	p, err := nix.ParseStorePath(store)
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(goldenDir, "cache-zstd")
	info, err := os.Open(filepath.Join(cache, p.Hash+".narinfo"))
	if err != nil {
		t.Fatal(err)
	}
	defer info.Close()
	for lines := bufio.NewScanner(info); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "URL: "); ok {
			return unpack(t, filepath.Join(cache, url))
		}
	}
	t.Fatalf("%s: no URL", info.Name())
	return nil
}

func unpack(t testing.TB, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r, err := nar.NewReader(z)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text := []byte(h.LinkTarget)
		if h.Type == nar.TypeRegular {
			if text, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		out[strings.TrimPrefix(h.Path, "/")] = string(text)
	}
}

// goldenToplevel is the path of the toplevel.
func goldenToplevel(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(goldenDir, "toplevel"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// goldenSpec decodes the boot.json of the toplevel.
func goldenSpec(t testing.TB) *bootspec.Spec {
	t.Helper()
	s, err := bootspec.Decode("boot.json", []byte(golden(t, goldenToplevel(t))[bootspec.FileName]))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Store paths of the tables.
const (
	hashA = "00000000000000000000000000000aaa"
	hashB = "00000000000000000000000000000bbb"
	hashC = "00000000000000000000000000000ccc"
	topA  = "/nix/store/" + hashA + "-nixos-system-a-25.11"
	linux = "/nix/store/" + hashB + "-linux-6.12.1"
	ramfs = "/nix/store/" + hashC + "-initrd-linux-6.12.1"
)

// mustPath reads a path.
func mustPath(t testing.TB, text string) bootspec.Path {
	t.Helper()
	p, err := bootspec.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// small returns a system with an initrd and two parameters.
func small(t testing.TB) *bootspec.Spec {
	t.Helper()
	return &bootspec.Spec{
		System: "x86_64-linux", Label: "NixOS Xantusia 25.11.1 (Linux 6.12.1)", Toplevel: mustPath(t, topA).Store, SortKey: "nixos",
		Init: mustPath(t, topA+"/init"), Kernel: mustPath(t, linux+"/bzImage"), Initrd: mustPath(t, ramfs+"/initrd"),
		KernelParams: []string{"quiet", "loglevel=4"},
	}
}

// wantError checks that err is of class fault.Input and holds want, or that
// there is none where want is "".
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatalf("error %v; want none", err)
	case want != "" && err == nil:
		t.Fatalf("no error; want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Fatalf("error %q; want it to hold %q", err, want)
	case want != "" && fault.ClassOf(err) != fault.Input:
		t.Fatalf("error of class %d; want %d", fault.ClassOf(err), fault.Input)
	}
}
