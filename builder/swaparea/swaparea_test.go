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
		{"two pages", 2 * 4096, "", swaparea.Header{Pages: 2}},
		{"pages", swaparea.MinSize, "", swaparea.Header{Pages: 10}},
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
		{"of another suspend", `signature "ULSUSPEND"`, changed(4086, "ULSUSPEND\x00")},
		{"version 2", "version 2, expected 1", changed(1024, "\x02")},
		{"version 0", "version 0, expected 1", changed(1024, "\x00")},
		{"one page", "counts 1 page,", swaparea.New(8191, uuid, "")},
		{"no page", "counts 1 page,", swaparea.New(0, uuid, "")},
		{"less than none", "counts 1 page,", swaparea.New(-1<<63, uuid, "")},
		{"bad page", "counts 1 bad pages", changed(1032, "\x01")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := swaparea.Decode(tt.page); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Decode: %v; want %q", err, tt.want)
			}
		})
	}
}

func TestRestored(t *testing.T) {
	plain := header(t, 1<<20, "l")
	changed := func(page []byte, at int, with string) []byte {
		page = bytes.Clone(page)
		copy(page[at:], with)
		return page
	}
	asleep := hibernated(plain)
	if h, err := swaparea.Decode(asleep); err != nil || !h.Hibernated() || h.Label != "l" {
		t.Fatalf("Decode = %+v, %v; want a hibernated system", h, err)
	}
	tests := []struct {
		name       string
		in         []byte
		hibernated bool
		want       string // the signature
	}{
		{"plain", plain, false, "SWAPSPACE2"},
		{"hibernated", asleep, true, "SWAPSPACE2"},
		{"nothing kept", changed(asleep, 4076, "\x00\x00\x00\x00"), true, "SWAPSPACE2"},
		{"itself kept", changed(asleep, 4076, "S1SUSPEND\x00"), true, "SWAPSPACE2"},
		{"header damaged", changed(asleep, 1024, "\x07"), true, "SWAPSPACE2"},
		{"unknown", changed(plain, 4086, "ULSUSPEND\x00"), false, "ULSUSPEND\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := bytes.Clone(tt.in)
			got := swaparea.Restored(tt.in)
			if !bytes.Equal(tt.in, before) {
				t.Error("Restored changed its argument")
			}
			if is, was := swaparea.Hibernated(got), swaparea.Hibernated(tt.in); is || was != tt.hibernated {
				t.Errorf("Hibernated = %v, restored %v; want %v, false", was, is, tt.hibernated)
			}
			if diff := cmp.Diff(changed(tt.in, 4086, tt.want), got); diff != "" {
				t.Errorf("page (-want +got):\n%s", diff)
			}
		})
	}
	if got := swaparea.Restored([]byte("short")); string(got) != "short" || swaparea.Hibernated(got) {
		t.Errorf("Restored of five bytes = %q", got)
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
		if swaparea.Hibernated(swaparea.Restored(page)) {
			t.Error("Restored leaves a hibernated system")
		}
		h, err := swaparea.Decode(page)
		if err != nil {
			return
		}
		if h.Size() < 2*swaparea.PageSize || h.Size() > swaparea.MaxSize || len(h.Label) > 16 || h.Hibernated() != swaparea.Hibernated(page) {
			t.Errorf("Decode = %+v", h)
		}
		if h.Hibernated() || len(h.Label) > swaparea.MaxLabel {
			return
		}
		if again, err := swaparea.Decode(swaparea.New(h.Size(), h.UUID, h.Label)); err != nil || again != h {
			t.Errorf("written and read: %+v, %v; want %+v", again, err, h)
		}
	})
}
