package source

import (
	"slices"
	"strings"
	"testing"
)

const copyrightFormat = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"

func TestReadCopyright(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"files", copyrightFormat + "\nFiles: *\nLicense: GPL-2+\n text\n\nFiles: x\nlicense:  GPL-1+  or Artistic\n", []string{"GPL-1+ or Artistic", "GPL-2+"}},
		{"licence first", copyrightFormat + "\nLicense: ISC\nFiles: *\n\n", []string{"ISC"}},
		{"texts only", copyrightFormat + "\nLicense: ISC\n text\n", nil},
		{"the same twice", copyrightFormat + "\nFiles: a\nLicense: ISC\n\nFiles: b\nLicense: ISC\n", []string{"ISC"}},
		{"free text", "This is free software.\n\nFiles: *\nLicense: GPL-2+\n", nil},
		{"another format", "Format: 2\n\nFiles: *\nLicense: GPL-2+\n", nil},
		{"empty", "", nil},
		{"old address", "Format: http://www.debian.org/doc/packaging-manuals/copyright-format/1.0\n\nFiles: *\nLicense: X11", []string{"X11"}},
		{"longest", copyrightFormat + "\nFiles: *\nLicense: " + strings.Repeat("x", maxLicense), []string{strings.Repeat("x", maxLicense)}},
		{"too long", copyrightFormat + "\nFiles: *\nLicense: " + strings.Repeat("x", maxLicense+1), nil},
		{"endless line", copyrightFormat + "\nFiles: *\nComment: " + strings.Repeat("x", 100_000) + "\nLicense: ISC\n", []string{"ISC"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readCopyright(strings.NewReader(tt.in))
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("readCopyright = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func FuzzReadCopyright(f *testing.F) {
	f.Add(copyrightFormat + "\nFiles: *\nLicense: GPL-1+ or Artistic\n")
	f.Add("x")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := readCopyright(strings.NewReader(in))
		if err != nil || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("readCopyright = %q, %v; want sorted names, each once", got, err)
		}
	})
}
