package bls_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

// full has every key that is written.
var full = bls.Entry{
	Title: "Bandit (factory)", Version: "6.12.1", MachineID: "0123456789abcdef0123456789abcdef", SortKey: "bandit-1",
	Architecture: "x64", Linux: "/mkimage/6.12.1/linux", Initrd: []string{"/mkimage/ucode", "/mkimage/6.12.1/initramfs"},
	Options: `root=PARTUUID=00 opt="a b" rw`, Devicetree: "/dtb", Overlays: []string{"/a.dtbo", "/b.dtbo"},
}

const fullText = `title Bandit (factory)
version 6.12.1
machine-id 0123456789abcdef0123456789abcdef
sort-key bandit-1
architecture x64
linux /mkimage/6.12.1/linux
initrd /mkimage/ucode
initrd /mkimage/6.12.1/initramfs
options root=PARTUUID=00 opt="a b" rw
devicetree /dtb
devicetree-overlay /a.dtbo /b.dtbo
`

func TestEntryEncode(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   bls.Entry
		want string
		err  string
	}{
		{"every key", full, fullText, ""},
		{"efi alone", bls.Entry{EFI: "/EFI/x.efi"}, "efi /EFI/x.efi\n", ""},
		{"uki alone", bls.Entry{UKI: "/EFI/Linux/x.efi"}, "uki /EFI/Linux/x.efi\n", ""},
		{"nothing to start", bls.Entry{Title: "x"}, "", "0 of the keys linux, efi and uki, expected one"},
		{"two to start", bls.Entry{Linux: "/a", EFI: "/b"}, "", "2 of the keys linux, efi and uki, expected one"},
		{"all three", bls.Entry{Linux: "/a", EFI: "/b", UKI: "/c"}, "", "3 of the keys"},
		{"line break", bls.Entry{Linux: "/a", Title: "x\noptions init=/bin/sh"}, "", `title "x\noptions init=/bin/sh": expected UTF-8 on one line`},
		{"carriage return", bls.Entry{Linux: "/a", Options: "x\ry"}, "", `options "x\ry"`},
		{"NUL", bls.Entry{Linux: "/a", Options: "x\x00y"}, "", `options "x\x00y"`},
		{"not UTF-8", bls.Entry{Linux: "/a", Title: "\xff"}, "", `title "\xff"`},
		{"space at an end", bls.Entry{Linux: "/a", Title: " x"}, "", `title " x"`},
		{"path upwards", bls.Entry{Linux: "/a/../b"}, "", `path "/a/../b": expected the path of a file`},
		{"path of a directory", bls.Entry{Linux: "/a", Initrd: []string{"/b/"}}, "", `path "/b/"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.Encode()
			wantError(t, err, tt.err)
			if string(got) != tt.want {
				t.Errorf("Encode:\n%s", cmp.Diff(tt.want, string(got)))
			}
		})
	}
}

func TestParseEntry(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     bls.Entry
		err      string
	}{
		{"every key", fullText, full, ""},
		{"CR LF, tabs, comments, empty lines", "\r\n# linux /no\r\n\tlinux\t /a\r\n  # x\r\ntitle \t A B \r\n", bls.Entry{Linux: "/a", Title: "A B"}, ""},
		{"no line end", "linux /a", bls.Entry{Linux: "/a"}, ""},
		{"unknown keys", "linux /a\ngrub_users $x\nid y", bls.Entry{Linux: "/a"}, ""},
		{"key without a value", "linux /a\ntitle\ntitle \n", bls.Entry{Linux: "/a"}, ""},
		{"keys have one case", "linux /a\nTITLE x", bls.Entry{Linux: "/a"}, ""},
		{"options add up", "linux /a\noptions a  b\noptions c", bls.Entry{Linux: "/a", Options: "a  b c"}, ""},
		{"the last title counts", "title a\nlinux /a\ntitle b", bls.Entry{Linux: "/a", Title: "b"}, ""},
		{"path without a slash", "linux a/b", bls.Entry{Linux: "a/b"}, ""},
		{"nothing", "", bls.Entry{}, "0 of the keys linux, efi and uki"},
		{"path upwards", "linux /../a", bls.Entry{}, `path "/../a"`},
		{"not UTF-8", "linux /a\ntitle \xff", bls.Entry{}, "not UTF-8"},
		{"NUL", "linux /a\x00", bls.Entry{}, "holds a NUL"},
		{"carriage return within", "linux /a\ntitle a\rb", bls.Entry{}, `line 2: title "a\rb"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bls.ParseEntry([]byte(tt.in))
			wantError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseEntry:\n%s", diff)
			}
		})
	}
}

func TestParseEntrySize(t *testing.T) {
	for _, tt := range []struct {
		size int
		err  string
	}{{1<<20 - 1, ""}, {1 << 20, ""}, {1<<20 + 1, "1048577 bytes, expected at most 1048576"}} {
		in := "linux /a\n#"
		_, err := bls.ParseEntry([]byte(in + strings.Repeat("x", tt.size-len(in))))
		wantError(t, err, tt.err)
	}
}

func TestEntryFiles(t *testing.T) {
	want := []string{"/mkimage/6.12.1/linux", "/mkimage/ucode", "/mkimage/6.12.1/initramfs", "/dtb", "/a.dtbo", "/b.dtbo"}
	if diff := cmp.Diff(want, full.Files()); diff != "" {
		t.Errorf("Files:\n%s", diff)
	}
}

// FuzzParseEntry checks that what is accepted can be written, and reads the
// same again.
func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(fullText))
	f.Add([]byte("\tefi\t/x\r\n#\noptions a\noptions b"))
	f.Add([]byte("uki x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := bls.ParseEntry(in)
		if err != nil {
			return
		}
		text, err := e.Encode()
		if err != nil {
			t.Fatalf("Encode of %+v: %v", e, err)
		}
		again, err := bls.ParseEntry(text)
		if err != nil {
			t.Fatalf("ParseEntry of %q: %v", text, err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Errorf("read again:\n%s", diff)
		}
	})
}

// wantError wants an error that holds a text, or none when that is "".
func wantError(t testing.TB, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %v; want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v; want %q in it", err, want)
	}
}
