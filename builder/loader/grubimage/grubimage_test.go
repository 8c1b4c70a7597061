package grubimage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader/grubimage"
)

func TestRead(t *testing.T) {
	got, err := grubimage.Read(smalldisk.GRUBProgram("/EFI/debian", "normal", "fat"))
	want := grubimage.Image{Prefix: "/EFI/debian", Modules: []string{"fat", "normal"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if missing := got.Missing("fat", "linux", "normal", "test"); !slices.Equal(missing, []string{"linux", "test"}) {
		t.Errorf("missing: %v", missing)
	}
	if _, err := grubimage.Read(smalldisk.EFIProgram("x")); !errors.Is(err, grubimage.ErrNone) {
		t.Errorf("another program: %v", err)
	}
}

// TestReadDebian reads the image that Debian's package has.
func TestReadDebian(t *testing.T) {
	imgtest.NeedGRUB(t)
	data, err := os.ReadFile(imgtest.GRUB)
	if err != nil {
		t.Fatal(err)
	}
	i, err := grubimage.Read(data)
	if err != nil || i.Prefix != "/EFI/debian" || len(i.Modules) < 100 || i.Missing(smalldisk.GRUBModules...) != nil {
		t.Errorf("%+v, %v; want /EFI/debian and, among a hundred modules, %v", i, err, smalldisk.GRUBModules)
	}
}

// The program of smalldisk has the section at 0x400: its information, then the ELF file
// of the first module behind a header of eight bytes.
const (
	section = 0x400
	object  = section + 24
)

func TestReadRefuses(t *testing.T) {
	le := binary.LittleEndian
	whole := len(smalldisk.GRUBProgram("/EFI/debian", "normal")) - section
	for _, tt := range []struct {
		name   string
		change func(b []byte) []byte
		want   string // "" is no error
	}{
		{"text", func([]byte) []byte { return []byte("GRUB") }, "EFI program: "},
		{"section cut", func(b []byte) []byte { return b[:len(b)-1] }, "section mods: ends at byte"},
		{"magic", func(b []byte) []byte { b[section] = 'x'; return b }, "expected mimg"},
		{"size all", func(b []byte) []byte { le.PutUint64(b[section+16:], uint64(whole)+1); return b }, "expected them within"},
		{"offset before", func(b []byte) []byte { le.PutUint64(b[section+8:], 23); return b }, "objects from 23"},
		{"offset behind", func(b []byte) []byte { le.PutUint64(b[section+8:], 1<<63); return b }, "objects from 9223372036854775808"},
		{"offset at the end", func(b []byte) []byte { copy(b[section+8:], b[section+16:section+24]); return b }, ""},
		{"object small", func(b []byte) []byte { le.PutUint32(b[object+4:], 7); return b }, "object 0: 7 bytes, expected 8 to"},
		{"object large", func(b []byte) []byte { le.PutUint32(b[object+4:], 1<<31); return b }, "object 0: 2147483648 bytes"},
		{"object cut", func(b []byte) []byte { le.PutUint64(b[section+16:], 24+7); return b }, "object 0: 7 bytes, expected 8 or more"},
		{"module is text", func(b []byte) []byte { b[object+8] = 'x'; return b }, "object 0: module: "},
		{"module without a name", func(b []byte) []byte { return bytes.Replace(b, []byte(".modname"), []byte(".modnamf"), 1) }, "no section .modname"},
		{"name without an end", func(b []byte) []byte { return bytes.Replace(b, []byte("normal\x00"), []byte("normalx"), 1) }, "expected a NUL"},
		{"other object", func(b []byte) []byte { le.PutUint32(b[object:], 1); return b }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := grubimage.Read(tt.change(smalldisk.GRUBProgram("/EFI/debian", "normal")))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q in it", err, tt.want)
			}
		})
	}
}

func TestConfigPath(t *testing.T) {
	for prefix, want := range map[string]string{
		"/EFI/debian": "EFI/debian/grub.cfg", "/grub": "grub/grub.cfg", "/a.b/-c": "a.b/-c/grub.cfg",
		"": "", "/": "", "grub": "", "(memdisk)/boot/grub": "", "(,gpt1)/grub": "", "/../x": "", "/a//b": "", "/a/": "", "/a b": "",
	} {
		got, err := grubimage.Image{Prefix: prefix}.ConfigPath()
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", prefix, got, err, want)
		}
	}
}

// TestLimits: objects and lengths of names that are one too many.
func TestLimits(t *testing.T) {
	const maxObjects, maxName = 4096, 4096
	for n, ok := range map[int]bool{maxObjects - 2: true, maxObjects - 1: true, maxObjects: false} { // and the prefix
		if _, err := grubimage.Read(smalldisk.GRUBProgram("/x", slices.Repeat([]string{"m"}, n)...)); (err == nil) != ok {
			t.Errorf("%d modules and a prefix: %v", n, err)
		}
	}
	for n, ok := range map[int]bool{maxName - 1: true, maxName: true, maxName + 1: false} {
		if _, err := grubimage.Read(smalldisk.GRUBProgram(strings.Repeat("x", n))); (err == nil) != ok {
			t.Errorf("prefix of %d bytes: %v", n, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(smalldisk.GRUBProgram("/EFI/debian", "normal", "fat"))
	f.Add(smalldisk.EFIProgram("x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := grubimage.Read(data)
		if err == nil && len(i.Prefix) > len(data) {
			t.Errorf("prefix of %d bytes out of %d", len(i.Prefix), len(data))
		}
	})
}
