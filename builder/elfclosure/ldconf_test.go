package elfclosure

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConf(t *testing.T) {
	tree := system(t, map[string]any{
		"etc/ld.so.conf":        "/a\t/b:/c,/d/\nhwcap 0 nosegneg\n#/no\ninclude none.conf more/*.conf /etc/one\n",
		"etc/more/2.conf":       "/f # /no",
		"etc/more/1.conf":       "/e=libc6\r\n",
		"etc/more/.hidden.conf": "/no",
		"etc/one":               "->more/3",
		"etc/more/3":            "../g",
	})
	c := &collector{tree: tree}
	got, err := c.confFolders()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "f", "g"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfLimits(t *testing.T) {
	many := func(n int) map[string]any { // files in all
		files := map[string]any{"etc/ld.so.conf": "include d/*"}
		for i := range n - 1 {
			files[fmt.Sprintf("etc/d/%d", i)] = fmt.Sprintf("/%d", i)
		}
		return files
	}
	large := func(n int) map[string]any {
		return map[string]any{"etc/ld.so.conf": "/a\n" + strings.Repeat("#", n-3)}
	}
	tests := []struct {
		name  string
		files map[string]any
		want  int // folders
		err   string
	}{
		{"no file", nil, 0, ""},
		{"a file less", many(maxConfFiles - 1), maxConfFiles - 2, ""},
		{"all files", many(maxConfFiles), maxConfFiles - 1, ""},
		{"a file too many", many(maxConfFiles + 1), 0, "includes more than 255 files"},
		{"a byte less", large(maxConf - 1), 1, ""},
		{"all bytes", large(maxConf), 1, ""},
		{"a byte too many", large(maxConf + 1), 0, "etc/ld.so.conf: 65537 bytes, expected at most 65536"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := (&collector{tree: system(t, tt.files)}).confFolders()
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || len(got) != tt.want {
				t.Errorf("%d folders, %v; want %d, %q", len(got), err, tt.want, tt.err)
			}
		})
	}
}

// FuzzConf reads any text: folders come out as paths of the tree.
func FuzzConf(f *testing.F) {
	f.Add("include ld.so.conf.d/*.conf\n/a,/b=libc6\nhwcap 1 x\n", "/c\n")
	f.Add("include /etc/*.conf", "x")
	f.Fuzz(func(t *testing.T, text, included string) {
		tree := system(t, map[string]any{"etc/ld.so.conf": "#\n" + text, "etc/ld.so.conf.d/x.conf": "#\n" + included})
		folders, err := (&collector{tree: tree}).confFolders()
		if err != nil {
			return
		}
		if i := slices.IndexFunc(folders, func(f string) bool { return f != clean(f) }); i >= 0 {
			t.Fatalf("folder %q", folders[i])
		}
	})
}
