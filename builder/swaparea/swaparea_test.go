package swaparea_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

var uuid = ids.Seed{9}.UUID("swap")

func header(t testing.TB, size int64, label string) []byte {
	t.Helper()
	return swaparea.New(size, uuid, label)
}

// hibernated marks a page as the kernel's mark_swapfiles does.
func hibernated(page []byte) []byte {
	page = bytes.Clone(page)
	copy(page[4076:], page[4086:])
	copy(page[4086:], "S1SUSPEND\x00")
	copy(page[4064:], "\x05\x00\x00\x00") // first sector of the image
	return page
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name  string
		size  int64
		label string
		want  swaparea.Header
	}{
		{"pages", 10 * 4096, "", swaparea.Header{Pages: 10}},
		{"pages and a bit", 10*4096 + 1, "", swaparea.Header{Pages: 10}},
		{"pages less a bit", 10*4096 - 1, "", swaparea.Header{Pages: 9}},
		{"largest", swaparea.MaxSize, "", swaparea.Header{Pages: 1 << 32}},
		{"larger", swaparea.MaxSize + 4096, "", swaparea.Header{Pages: 1 << 32}},
		{"longest label", 8192, strings.Repeat("x", 15), swaparea.Header{Pages: 2, Label: strings.Repeat("x", 15)}},
		{"longer label", 8192, strings.Repeat("x", 16), swaparea.Header{Pages: 2, Label: strings.Repeat("x", 15)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := swaparea.Decode(header(t, tt.size, tt.label))
			want := tt.want
			want.Signature, want.UUID = swaparea.Signature, uuid
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Decode: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := header(t, 1<<20, "")
	changed := func(at int, with string) []byte { b := bytes.Clone(good); copy(b[at:], with); return b }
	for _, tt := range []struct {
		name, want string
		page       []byte
	}{
		{"short", "4095 bytes, expected 4096", good[:4095]},
		{"long", "4097 bytes", append(bytes.Clone(good), 0)},
		{"no signature", `signature "\x00`, changed(4086, strings.Repeat("\x00", 10))},
		{"old signature", `signature "SWAP-SPACE"`, changed(4086, "SWAP-SPACE")},
		{"version", "version 2, expected 1", changed(1024, "\x02")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := swaparea.Decode(tt.page); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Decode: %v; want %q", err, tt.want)
			}
		})
	}
}

func TestRestore(t *testing.T) {
	plain := header(t, 1<<20, "l")
	page := hibernated(plain)
	if h, err := swaparea.Decode(page); err != nil || !h.Hibernated() || h.Label != "l" {
		t.Fatalf("Decode = %+v, %v; want a hibernated system", h, err)
	}
	restored, err := swaparea.Restored(page)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := swaparea.Decode(restored); err != nil || h.Hibernated() {
		t.Errorf("Decode = %+v, %v; want plain swap space", h, err)
	}
	if !bytes.Equal(page, hibernated(plain)) {
		t.Error("Restored changed its argument")
	}
	if _, err := swaparea.Restored(restored); err == nil {
		t.Error("Restored of plain swap space: no error")
	}
	copy(page[4076:], "SWAP-SPACE")
	if _, err := swaparea.Restored(page); err == nil {
		t.Error("Restored of another signature: no error")
	}
}

// TestMkswap compares with the program that everybody uses, both ways.
func TestMkswap(t *testing.T) {
	imgtest.Need(t, "mkswap", "blkid")
	file := filepath.Join(t.TempDir(), "swap")
	const size = 1 << 20
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkswap", "--uuid", uuid.String(), "--label", "fox", file).CombinedOutput(); err != nil {
		t.Fatalf("mkswap: %v\n%s", err, out)
	}
	theirs, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ours := header(t, size, "fox")
	if !bytes.Equal(ours, theirs[:4096]) {
		t.Errorf("the header differs from mkswap's")
	}
	if err := os.WriteFile(file, append(hibernated(ours), theirs[4096:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("blkid", "--probe", "--output", "export", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "TYPE=swsuspend") {
		t.Errorf("blkid of a hibernated system: %v\n%s", err, out)
	}
}

func FuzzDecode(f *testing.F) {
	page := header(f, 1<<20, "label")
	f.Add(page)
	f.Add(hibernated(page))
	f.Add(page[:100])
	f.Fuzz(func(t *testing.T, page []byte) {
		h, err := swaparea.Decode(page)
		if err != nil {
			return
		}
		if h.Size() < swaparea.PageSize || h.Size() > swaparea.MaxSize || len(h.Label) > 16 {
			t.Errorf("Decode = %+v", h)
		}
		if plain, err := swaparea.Restored(page); err == nil {
			if h, err := swaparea.Decode(plain); err != nil || h.Hibernated() {
				t.Errorf("Decode of what Restored returns = %+v, %v", h, err)
			}
		}
	})
}
