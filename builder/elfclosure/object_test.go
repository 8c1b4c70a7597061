package elfclosure

import (
	"bytes"
	"debug/elf"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decodeBytes(data []byte) (*object, error) {
	return decode(bytes.NewReader(data), int64(len(data)))
}

func TestDecode(t *testing.T) {
	got, err := decodeBytes(image{interpreter: "/lib/ld.so", soname: "s", needed: []string{"a", "b"}, rpath: "/r:/s", runpath: "/t", flags1: elf.DF_1_NODEFLIB, baseOfAddresses: 1 << 47}.bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := &object{"/lib/ld.so", "s", []string{"a", "b"}, []string{"/r", "/s"}, []string{"/t"}, true, true}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(object{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeLimits(t *testing.T) {
	long := func(n int) string { return "/" + strings.Repeat("x", n-1) }
	entries := maxDynamic - 2 // two more are in every image
	tests := []struct {
		name string
		in   image
		want string
	}{
		{"one segment less", image{segments: maxSegments - 1}, ""},
		{"all segments", image{segments: maxSegments}, ""},
		{"a segment too many", image{segments: maxSegments + 1}, "1171 program headers of 56 bytes, expected 1 to 1170 of 56"},
		{"one entry less", image{extra: entries - 1}, ""},
		{"all entries", image{extra: entries}, ""},
		{"an entry too many", image{extra: entries + 1}, "dynamic section of 4097 entries, expected at most 4096"},
		{"loader of 4095 bytes", image{interpreter: long(maxPath - 2)}, ""},
		{"loader of 4096 bytes", image{interpreter: long(maxPath - 1)}, ""},
		{"loader of 4097 bytes", image{interpreter: long(maxPath)}, "path of the loader of 4097 bytes, expected 2 to 4096"},
		{"relative loader", image{interpreter: "ld.so"}, `path of the loader "ld.so", expected an absolute one`},
		{"library of 4094 bytes", program(long(maxPath - 2)), ""},
		{"library of 4095 bytes", program(long(maxPath - 1)), ""},
		{"library of 4096 bytes", program(long(maxPath)), "dynamic section, DT_NEEDED: string of 4096 bytes or more"},
		{"run path of 65534 bytes", image{runpath: long(maxRunPath - 2)}, ""},
		{"run path of 65535 bytes", image{runpath: long(maxRunPath - 1)}, ""},
		{"run path of 65536 bytes", image{runpath: long(maxRunPath)}, "dynamic section, DT_RUNPATH: string of 65536 bytes or more"},
		{"library without a name", program(""), "dynamic section, DT_NEEDED: library without a name"},
		{"object file", image{kind: elf.ET_REL}, "ELF file of type 1, expected a program or a library"},
		{"32 bits", image{class: elf.ELFCLASS32}, "is not for x86-64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decodeBytes(tt.in.bytes())
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error %q; want %q", got, tt.want)
			}
		})
	}
}

// TestDecodeTruncated: every beginning of a program is refused, but for those that lack
// what is not read.
func TestDecodeTruncated(t *testing.T) {
	data := image{interpreter: "/lib/ld.so", needed: []string{"liba.so"}}.bytes()
	for n := range len(data) {
		if o, err := decodeBytes(data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes give %+v; want an error", n, len(data), o)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(image{interpreter: "/lib/ld.so", soname: "s", needed: []string{"a", "b"}, rpath: "/r:/s", runpath: "$ORIGIN", baseOfAddresses: 4096}.bytes())
	f.Add(library("liba.so", "libb.so").bytes())
	f.Add([]byte("text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := decodeBytes(data)
		if err != nil {
			return
		}
		if len(o.needed) > maxDynamic || len(o.interpreter) >= maxPath || len(o.soname) >= maxPath {
			t.Fatalf("%d libraries, loader of %d bytes, name of %d", len(o.needed), len(o.interpreter), len(o.soname))
		}
		for _, n := range o.needed {
			if n == "" || len(n) >= maxPath || strings.Contains(n, "\x00") {
				t.Fatalf("library %q", n)
			}
		}
		if _, err := expand(o.runpath, "usr/bin/p"); err != nil && !strings.Contains(err.Error(), "run path") {
			t.Fatal(err)
		}
	})
}

// FuzzScript looks for what any program starts.
func FuzzScript(f *testing.F) {
	f.Add([]byte("#!/bin/sh\nexec /a/b\n"), int64(9))
	f.Add([]byte("\x7fELF "+wrapperMark+"/a/b' "), int64(9))
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		if target := wrapperTarget(head, size); target != "" && (target[0] != '/' || len(target) > len(head)) {
			t.Fatalf("target %q", target)
		}
		if !bytes.HasPrefix(head, []byte("#!")) {
			return
		}
		if at, err := interpreterOf(head); err == nil && (at[0] != '/' || len(at) > maxInterpreterLine) {
			t.Fatalf("interpreter %q", at)
		}
	})
}

func TestInterpreterLine(t *testing.T) {
	for _, n := range []int{maxInterpreterLine - 1, maxInterpreterLine, maxInterpreterLine + 1} {
		for _, end := range []string{"\n", ""} {
			_, err := interpreterOf([]byte("#!/" + strings.Repeat("x", n-3) + end))
			if (err == nil) != (n <= maxInterpreterLine) {
				t.Errorf("line of %d bytes, end %q: %v", n, end, err)
			}
		}
	}
}
