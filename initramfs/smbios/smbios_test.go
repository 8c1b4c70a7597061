package smbios

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/initramfs/smbios/smbiostest"
)

func TestOEMStrings(t *testing.T) {
	tests := []struct {
		name  string
		table []byte
		want  []string
	}{
		{"none", nil, nil},
		{"one", smbiostest.OEM("a"), []string{"a"}},
		{"two structures", slices.Concat(smbiostest.BIOS, smbiostest.OEM("a", "b"), smbiostest.Structure(17, 40, nil, "no"), smbiostest.OEM("c"), smbiostest.Last, smbiostest.OEM("behind the end")), []string{"a", "b", "c"}},
		{"fewer than are there", smbiostest.Structure(kindOEM, 5, map[int]any{4: uint8(1)}, "a", "b"), []string{"a"}},
		{"more than are there", smbiostest.Structure(kindOEM, 5, map[int]any{4: uint8(9)}, "a", "b"), []string{"a", "b"}},
		{"no strings", smbiostest.Structure(kindOEM, 5, map[int]any{4: uint8(2)}), nil},
		{"no count", smbiostest.Structure(kindOEM, 4, nil, "a"), nil},
		{"longer", smbiostest.Structure(kindOEM, 6, map[int]any{4: uint8(1)}, "a"), []string{"a"}},
		{"length 3", slices.Concat([]byte{kindOEM, 3, 0, 0, 0}, smbiostest.OEM("a")), nil},
		{"cut in its strings", smbiostest.OEM("a", "b")[:8], nil},
		{"cut before its last zero", smbiostest.OEM("a")[:7], nil},
		{"length of all", []byte{kindOEM, 5, 0, 0, 1}, nil},
		{"length of more", []byte{kindOEM, 6, 0, 0, 1}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, text := range OEMStrings(test.table) {
				got = append(got, string(text))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("OEMStrings (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzOEMStrings(f *testing.F) {
	f.Add(slices.Concat(smbiostest.BIOS, smbiostest.OEM("a", "bc"), smbiostest.Last))
	f.Add([]byte{kindOEM, 5, 0, 0, 255, 0, 0})
	f.Fuzz(func(t *testing.T, table []byte) {
		before := bytes.Clone(table)
		for _, text := range OEMStrings(table) {
			if bytes.IndexByte(text, 0) >= 0 || !bytes.Contains(table, text) {
				t.Errorf("OEMStrings(%x): %q", table, text)
			}
		}
		if !bytes.Equal(before, table) {
			t.Errorf("OEMStrings changed %x", before)
		}
	})
}
