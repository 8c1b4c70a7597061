package efivar_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/installer/efivar"
)

// written is what efibootmgr 17 made of the partition 1 of 64 KiB blocks at 2048
// and \EFI\BOOT\BOOTX64.EFI, described as "Hare".
const written = "01000000 5e00 48006100720065000000" +
	"04012a00 01000000 0008000000000000 0000010000000000 33221100554477668899aabbccddeeff 0202" +
	"04043000 5c004500460049005c0042004f004f0054005c0042004f004f0054005800360034002e004500460049000000" +
	"7fff0400"

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLoadOption(t *testing.T) {
	value := unhex(t, written)
	o, err := efivar.DecodeLoadOption(value)
	if err != nil {
		t.Fatal(err)
	}
	p, path, ok := o.File()
	want := efivar.Partition{Number: 1, Start: 2048, Size: 65536, GUID: uuid(0xff)}
	if !ok || o.Description != "Hare" || o.Attributes != 1 || path != `\EFI\BOOT\BOOTX64.EFI` || p != want || len(o.More)+len(o.Optional) > 0 {
		t.Errorf("%+v", o)
	}
	if again, err := o.Encode(); err != nil || !bytes.Equal(again, value) {
		t.Errorf("%x, %v; want %x", again, err, value)
	}
	m := newMemory()
	if _, err := efivar.New(m).AddEntry(efivar.Entry{Description: "Hare", Partition: want, Path: "EFI/BOOT/BOOTX64.EFI"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]byte{7, 0, 0, 0}, value...), m.files["Boot0000"+global]); diff != "" {
		t.Errorf("as it is written here:\n%s", diff)
	}
	if diff := cmp.Diff([]byte{7, 0, 0, 0, 0, 0}, m.files[efivar.BootOrder]); diff != "" {
		t.Errorf("order:\n%s", diff)
	}
}

// TestLoadOptionForms decodes what firmware and other programs write.
func TestLoadOptionForms(t *testing.T) {
	const hd = "04012a00 01000000 0008000000000000 0000010000000000 33221100554477668899aabbccddee01 0202"
	const end = "7fff0400"
	file := func(text string) string { // a node of up to 125 characters
		var b strings.Builder
		for _, c := range []byte(text + "\x00") {
			b.WriteString(hex.EncodeToString([]byte{c, 0}))
		}
		return "0404" + hex.EncodeToString([]byte{byte(len(text)*2 + 6), 0}) + b.String()
	}
	option := func(nodes, rest string) string {
		n := len(unhex(t, nodes))
		return "01000000" + hex.EncodeToString([]byte{byte(n), byte(n >> 8)}) + "41000000" + nodes + rest
	}
	for _, tt := range []struct{ name, value, path, err string }{
		{"whole", option(hd+file(`\a`)+end, ""), `\a`, ""},
		{"behind controllers", option("02010c00d041030a00000000"+"01010600"+"0200"+hd+file(`\a`)+end, ""), `\a`, ""},
		{"a path in two steps", option(hd+file(`\a`)+file("b")+end, ""), `\a\b`, ""},
		{"a path in two steps, joined", option(hd+file(`\a\`)+file("b")+end, ""), `\a\b`, ""},
		{"options", option(hd+file(`\a`)+end, "010203"), `\a`, ""},
		{"two paths", option(hd+file(`\a`)+end+hd+file(`\b`)+end, ""), `\a`, ""},
		{"no file", option(hd+end, ""), "", ""},
		{"no partition", option(file(`\a`)+end, ""), "", ""},
		{"partition of an MBR", option(strings.TrimSuffix(hd, "0202")+"0101"+file(`\a`)+end, ""), "", ""},
		{"partition of a table that is not GPT", option(strings.TrimSuffix(hd, "0202")+"0102"+file(`\a`)+end, ""), "", ""},
		{"partition without a GUID", option(strings.TrimSuffix(hd, "0202")+"0201"+file(`\a`)+end, ""), "", ""},
		{"short partition", option("04012600"+strings.Repeat("00", 34)+file(`\a`)+end, ""), "", ""},
		{"path without an end", option(hd+"04040600"+"4100"+end, ""), "", ""},
		{"nothing but an end", option(end, ""), "", ""},
		{"no end", option(hd+file(`\a`), ""), "", "no end"},
		{"no node", option("", ""), "", "no end"},
		{"a node without a body", option("04040300"+end, ""), "", "a node of 3 bytes"},
		{"a node of its header", option("04040400"+end, ""), "", ""},
		{"a node beyond the path", option("0404ff00"+end, ""), "", "a node of 255 bytes"},
		{"paths beyond the value", "01000000 0500 41000000 " + end, "", "device paths of 5 bytes, 4 are left"},
		{"paths up to the value's end", "01000000 0400 41000000 " + end, "", ""},
		{"description without an end", "01000000 0400 4100", "", "text without an end"},
		{"short", "0100000004", "", "5 bytes"},
		{"nothing behind the head", "010000000400", "", "text without an end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := efivar.DecodeLoadOption(unhex(t, tt.value))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v; want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, path, ok := o.File(); path != tt.path && ok || ok != (tt.path != "") {
				t.Errorf("%q, %v; want %q", path, ok, tt.path)
			}
			if again, err := o.Encode(); err != nil || !bytes.Equal(again, unhex(t, tt.value)) {
				t.Errorf("encoded again: %x, %v", again, err)
			}
		})
	}
}

func TestEncodeLimits(t *testing.T) {
	text := func(n int) *efivar.LoadOption { return &efivar.LoadOption{Description: strings.Repeat("x", n)} }
	node := func(n int) *efivar.LoadOption {
		return &efivar.LoadOption{Path: []efivar.Node{{Type: 4, Subtype: 4, Data: make([]byte, n)}}}
	}
	more := func(n int) *efivar.LoadOption { return &efivar.LoadOption{More: make([]byte, n)} }
	for _, tt := range []struct {
		name   string
		option *efivar.LoadOption
		good   bool
	}{
		{"value at the limit", text((1<<16 - 6 - 2 - 4) / 2), true},
		{"value beyond it", text((1<<16-6-2-4)/2 + 1), false},
		{"node beyond the limit", node(0xffff - 4 + 1), false},
		{"paths at the limit", more(0xffff - 4 - 8), true},
		{"paths beyond the limit", more(0xffff - 4 + 1), false},
	} {
		value, err := tt.option.Encode()
		if (err == nil) != tt.good {
			t.Errorf("%s: %d bytes, %v", tt.name, len(value), err)
		}
		if err == nil {
			if _, err := efivar.DecodeLoadOption(value); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
	if _, err := efivar.DecodeLoadOption(make([]byte, 1<<16+1)); err == nil || !strings.Contains(err.Error(), "65537 bytes") {
		t.Errorf("a value beyond the limit: %v", err)
	}
}

func FuzzDecodeLoadOption(f *testing.F) {
	f.Add(unhex(f, written))
	f.Add(unhex(f, "01000000 0400 41000000 7fff0400"))
	f.Add(unhex(f, "01000000 0c00 410000000404080041004200 7fff0400 7fff0400 010203"))
	f.Fuzz(func(t *testing.T, value []byte) {
		o, err := efivar.DecodeLoadOption(value)
		if err != nil {
			return
		}
		_, _, _ = o.File()
		again, err := o.Encode()
		if err != nil { // characters that are read and not written
			return
		}
		if !bytes.Equal(again, value) {
			t.Errorf("%x became %x", value, again)
		}
	})
}

func FuzzDecodeOrder(f *testing.F) {
	f.Add([]byte{1, 0, 2, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		order, err := efivar.DecodeOrder(value)
		if (err == nil) != (len(value)%2 == 0) || len(order) != len(value)/2 {
			t.Errorf("%d numbers of %d bytes, %v", len(order), len(value), err)
		}
		m := newMemory() // an order, whatever it says, is planned with
		m.set("BootOrder", value)
		p, err := efivar.New(m).AddEntry(fox(1))
		if err != nil || m.numbers(t, "BootOrder")[0] != p.Number {
			t.Errorf("%v, %v", p, err)
		}
	})
}

// FuzzMenu plans with an entry that is anything.
func FuzzMenu(f *testing.F) {
	f.Add(unhex(f, written))
	f.Fuzz(func(t *testing.T, value []byte) {
		m := newMemory()
		m.set("Boot0000", value)
		m.order("BootOrder", 0)
		v := efivar.New(m)
		if _, err := v.AddEntry(fox(1)); err != nil {
			t.Fatal(err)
		}
		m.changes = 0
		if _, err := v.AddEntry(fox(1)); err != nil || m.changes > 0 {
			t.Errorf("again: %v, %d changes", err, m.changes)
		}
	})
}
