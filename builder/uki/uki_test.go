package uki_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
	"github.com/6FaNcY9/mkimage/builder/uki"
	"github.com/6FaNcY9/mkimage/builder/uki/reader"
)

// hostStub is the stub of systemd 252 in Debian 12.
const hostStub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"

func parts(stub []byte) uki.Parts {
	noise := rand.NewChaCha8([32]byte{1})
	initrd := make([]byte, 123_457)
	noise.Read(initrd)
	return uki.Parts{
		Stub: stub, OSRelease: []byte("ID=bandit\n"), Uname: "6.12.1", Cmdline: "root=PARTUUID=00 rw",
		Linux: makeProgram(programShape{first: 0x8000}), Initrd: initrd,
	}
}

// open reads an image that Build made and wants it to be without fault.
func open(t testing.TB, b []byte) *reader.Program {
	t.Helper()
	p, err := reader.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range p.Check() {
		t.Errorf("Check: %v", bad)
	}
	return p
}

func wantContent(t testing.TB, p *reader.Program, name string, want []byte) {
	t.Helper()
	r, err := p.Content(name)
	if err != nil {
		t.Error(err)
		return
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	// The kernel's section has the size in memory that the kernel asks for.
	if name == ".linux" {
		got = got[:min(len(got), len(want))]
	}
	if !bytes.Equal(got, want) {
		t.Errorf("section %s: %d bytes that differ from the %d given", name, len(got), len(want))
	}
}

func TestBuild(t *testing.T) {
	for _, tt := range []struct {
		name  string
		shape programShape
		grown bool
	}{
		{"small stub", programShape{}, false},
		{"sections smaller than a page", programShape{alignment: 0x20}, false},
		{"large alignment", programShape{alignment: 0x10000, first: 0x10000}, false},
		{"room for one section too few", programShape{headers: testTable + 40*6}, true},
		{"room for exactly as many", programShape{headers: testTable + 40*7}, false},
		{"no room, debug directory", programShape{headers: testTable + 40*2, debug: true}, true},
		{"symbol table", programShape{symbols: 99}, false},
		{"signed", programShape{signed: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stub := makeProgram(tt.shape)
			in := parts(stub)
			out, err := uki.Build(in)
			if err != nil {
				t.Fatal(err)
			}
			p := open(t, out)
			for name, want := range map[string][]byte{
				".osrel": in.OSRelease, ".uname": []byte(in.Uname), ".cmdline": []byte(in.Cmdline), ".linux": in.Linux, ".initrd": in.Initrd,
			} {
				wantContent(t, p, name, want)
			}
			wantContent(t, p, ".sbat", []byte(strings.Repeat(".sbat", 0x180/5)+"\x00\x00\x00\x00"))
			if grown := p.HeaderSize > int64(cmp.Or(tt.shape.headers, 0x400)); grown != tt.grown {
				t.Errorf("headers of %d bytes; grown: %v, want %v", p.HeaderSize, grown, tt.grown)
			}
			for _, s := range p.Sections[2:] {
				if s.Address%4096 != 0 || s.Offset%0x200 != 0 {
					t.Errorf("section %s at %d, in the file at %d; want it aligned", s.Name, s.Address, s.Offset)
				}
			}
			if linux := p.Sections[len(p.Sections)-1]; linux.Name != ".linux" || linux.Memory != 0x8000+0x2000 {
				t.Errorf("last section %s of %d bytes in memory; want .linux of %d", linux.Name, linux.Memory, 0xa000)
			}
			if got := binary.LittleEndian.Uint32(out[testOptional+8:]); got != 4*0x200+123_904-0x200 {
				t.Errorf("%d bytes of initialized data; want three small sections and the initramfs", got)
			}
			if dir := out[testOptional+112+4*8:][:8]; !bytes.Equal(dir, make([]byte, 8)) {
				t.Errorf("certificates at % x; want none", dir)
			}
			if !bytes.Equal(stub, makeProgram(tt.shape)) {
				t.Error("Build changed the stub that it was given")
			}
		})
	}
}

// TestBuildClearsHeaders wants nothing of what a linker left behind the
// section table in the headers of new sections.
func TestBuildClearsHeaders(t *testing.T) {
	stub := makeProgram(programShape{})
	for i := testTable + 40*2; i < 0x400; i++ {
		stub[i] = 0xff
	}
	out, err := uki.Build(parts(stub))
	if err != nil {
		t.Fatal(err)
	}
	open(t, out)
	if relocations := out[testTable+40*2+24:][:12]; !bytes.Equal(relocations, make([]byte, 12)) {
		t.Errorf("relocations and line numbers % x; want none", relocations)
	}
}

func TestBuildMovesDebugData(t *testing.T) {
	out, err := uki.Build(parts(makeProgram(programShape{headers: testTable + 40*2 + 8, debug: true})))
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, out)
	text, err := p.Section(".text")
	if err != nil {
		t.Fatal(err)
	}
	body := out[text.Offset:]
	if got := int64(body[24]) | int64(body[25])<<8; got != text.Offset+0x40 {
		t.Errorf("debug data at %#x; want %#x", got, text.Offset+0x40)
	}
}

func TestBuildRefuses(t *testing.T) {
	good := makeProgram(programShape{})
	twice, err := uki.Build(parts(good))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		stub []byte
		want string
	}{
		{"nothing", nil, "EFI stub: not an EFI program: no MZ"},
		{"text", []byte(strings.Repeat("x", 0x1000)), "no MZ"},
		{"header beyond the end", patched(good, 0x3c, 0xfffffff0), "no PE header at 4294967280 of"},
		{"no PE", patched(good, 0x80, 0), "no PE header at 128"},
		{"another machine", patched(good, testCOFF, 2<<16|0xaa64), "machine 0xaa64, expected 0x8664"},
		{"32-bit", patched(good, testOptional, 0x10b), "kind 0x10b, expected 0x20b"},
		{"no section", patched(good, testCOFF, 0x8664), "0 sections, expected 1 to 96"},
		{"too many sections", patched(good, testCOFF, 97<<16|0x8664), "97 sections, expected 1 to 96"},
		{"directories beyond the header", patched(good, testOptional+108, 17), "17 directories"},
		{"directories beyond all", patched(good, testOptional+108, 0xffffffff), "4294967295 directories"},
		{"alignment", patched(good, testOptional+36, 3), "alignment of 3 bytes"},
		{"no alignment", patched(good, testOptional+32, 0), "alignment of 0 bytes"},
		{"headers beyond the end", patched(good, testOptional+60, 0x7fffffff), "size of headers 2147483647"},
		{"headers without the table", patched(good, testOptional+60, testTable), "size of headers"},
		{"section beyond the end", patched(good, testTable+20, 0xfffffe00), `section ".text": bytes 4294966784 to`},
		{"section in the headers", patched(good, testTable+20, 0x200), `section ".text": bytes 512 to 1024`},
		{"sections that begin with the headers", makeProgram(programShape{headers: 0x1000, first: 0x1000})[:0x1400], ""},
		{"no room to grow", patched(makeProgram(programShape{headers: testTable + 40*2}), testTable+12, 0x200), "no room for 5 more sections"},
		{"is one already", twice, "the stub has a section .osrel already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := uki.Build(parts(tt.stub))
			wantError(t, err, tt.want)
			if err != nil && fault.ClassOf(err) != fault.Input {
				t.Errorf("class %v; want %v", fault.ClassOf(err), fault.Input)
			}
		})
	}
	bad := parts(good)
	bad.Linux = []byte("vmlinux")
	_, err = uki.Build(bad)
	wantError(t, err, "kernel: not an EFI program")
}

// TestBuildSystemd makes images of the stubs that systems have, and has
// objdump read them.
func TestBuildSystemd(t *testing.T) {
	for _, tt := range []struct {
		name string
		stub func(t *testing.T) string
		kept string
	}{
		{"252", func(t *testing.T) string { imgtest.Need(t, hostStub); return hostStub }, "systemd,1,The systemd Developers,systemd,252"},
		{"257", func(t *testing.T) string { return filepath.Join(userland.Reference(t).Dir, hostStub) }, "systemd-stub,1,The systemd Developers,systemd,257"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			imgtest.Need(t, "objdump")
			stub, err := os.ReadFile(tt.stub(t))
			if err != nil {
				t.Fatal(err)
			}
			in := parts(stub)
			out, err := uki.Build(in)
			if err != nil {
				t.Fatal(err)
			}
			p := open(t, out)
			if !p.IsUKI() {
				t.Error("IsUKI is false")
			}
			if sbat, err := p.Text(".sbat"); err != nil || !strings.Contains(sbat, tt.kept) {
				t.Errorf(".sbat = %q, %v; want %q in it", sbat, err, tt.kept)
			}
			file := filepath.Join(t.TempDir(), "uki.efi")
			if err := os.WriteFile(file, out, 0o644); err != nil {
				t.Fatal(err)
			}
			listing, err := exec.Command("objdump", "-h", file).CombinedOutput()
			if err != nil {
				t.Fatalf("objdump: %v\n%s", err, listing)
			}
			for _, s := range p.Sections {
				if !regexp.MustCompile(`(?m)^ *\d+ ` + regexp.QuoteMeta(s.Name) + ` +[0-9a-f]+ .*2\*\*\d+$`).Match(listing) {
					t.Errorf("objdump does not list %s:\n%s", s.Name, listing)
				}
			}
		})
	}
}

// FuzzBuild checks that whatever passes for a stub becomes an image that the
// reader accepts.
func FuzzBuild(f *testing.F) {
	f.Add(makeProgram(programShape{}))
	f.Add(makeProgram(programShape{headers: testTable + 40*2, debug: true, symbols: 3, signed: true}))
	in := parts(nil)
	in.Initrd = in.Initrd[:100]
	f.Fuzz(func(t *testing.T, stub []byte) {
		in.Stub = stub
		out, err := uki.Build(in)
		if err != nil {
			return
		}
		p, err := reader.Open(bytes.NewReader(out), int64(len(out)))
		if err != nil {
			return // what debug/pe refuses beyond our own checks
		}
		wantContent(t, p, ".cmdline", []byte(in.Cmdline))
	})
}
