package fstree_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// Archives packed by the real programs, with the memory that they may demand.
func TestOpenTarTools(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // of the error
	}{
		{"gzip", []string{"gzip"}, ""},
		{"zstd", []string{"zstd", "-q"}, ""},
		{"zstd of the largest window", []string{"zstd", "-q", "--ultra", "-22", "--long=27"}, ""},
		{"zstd of too large a window", []string{"zstd", "-q", "--long=28"}, "zstd: window size exceeded"},
		{"xz", []string{"xz"}, ""},
		{"xz -9 with filter and sha256", []string{"xz", "--x86", "--lzma2=preset=9", "--check=sha256"}, ""},
		{"xz of two blocks", []string{"xz", "--block-size=4096"}, ""},
		{"xz of too large a dictionary", []string{"xz", "--lzma2=dict=129MiB"}, "xz: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			imgtest.Need(t, "tar", tt.args[0])
			dir := t.TempDir()
			fstree.Write(t, dir+"/in/f", strings.Repeat("content ", 20000))
			fstree.Run(t, dir, "tar", "-C", "in", "-cf", "x.tar", ".")
			// From a pipe, so that the window is not made to fit the size.
			packed := fstree.Run(t, dir, "sh", append([]string{"-c", `cat x.tar | "$@"`, "sh"}, append(tt.args, "-c")...)...)
			fstree.Must(t, os.WriteFile(dir+"/packed", packed, 0o600))
			s, err := fstree.OpenTar(context.Background(), dir+"/packed", dir, fstree.TarOptions{})
			if err != nil {
				if tt.want == "" || !strings.Contains(err.Error(), dir+"/packed: "+tt.want) || fault.ClassOf(err) != fault.Input {
					t.Errorf("error %q; want %q", err, tt.want)
				}
				return
			}
			if tt.want != "" {
				t.Fatalf("no error; want %q", tt.want)
			}
			if f := s.Tree.Lookup("f"); f == nil || f.Size != 160000 {
				t.Errorf("f is %+v", f)
			}
			fstree.Must(t, s.Close())
			for _, cut := range []int{len(packed) / 2, len(packed) - 1} {
				fstree.Must(t, os.WriteFile(dir+"/packed", packed[:cut], 0o600))
				_, err := fstree.OpenTar(context.Background(), dir+"/packed", dir, fstree.TarOptions{})
				if err == nil || fault.ClassOf(err) != fault.Input {
					t.Errorf("cut at %d of %d: error %v", cut, len(packed), err)
				}
			}
		})
	}
}
