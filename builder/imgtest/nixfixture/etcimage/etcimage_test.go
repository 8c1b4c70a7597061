package etcimage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestMake: the kernel finds every name in a directory of several blocks, and what is in it.
func TestMake(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "unshare", "mount", "sh", "getfattr")
	files := []File{{Mode: Dir | 0o755}, {Path: "d", Mode: Dir | 0o750}, {Path: "big", Mode: Regular | 0o600, Redirect: "/big", Size: 5000}}
	var want []string
	for i := range 300 {
		name := fmt.Sprintf("d/%s-%03d", strings.Repeat("x", 60), i)
		files = append(files, File{Path: name, Mode: Regular | 0o640, Data: fmt.Sprint(i)})
		want = append(want, name+" 640 "+fmt.Sprint(i))
	}
	data, err := Make(append(files, File{Path: "d/link", Mode: Symlink | 0o777, Target: "/nix/store"}))
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, data, 0o644); err != nil {
		t.Fatal(err)
	}
	const script = `mount -t erofs -o loop,ro "$1" "$2" && cd "$2" && for f in d/x*; do echo "$f $(stat -c %a "$f") $(cat "$f")"; done &&
		readlink d/link && stat -c '%a %s' big && getfattr --only-values -n trusted.overlay.redirect big && stat -c ' %a %h' . d`
	out, err := exec.Command("unshare", "-m", "sh", "-c", script, "sh", image, t.TempDir()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want = append(want, "/nix/store", "600 5000", "/big 755 3", " 750 2")
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
}

func TestMakeRefuses(t *testing.T) {
	root := File{Mode: Dir | 0o755}
	for _, tt := range []struct {
		name  string
		files []File
		err   string
	}{
		{"nothing", nil, "has no root"},
		{"no root", []File{{Path: "a", Mode: Regular}}, "has no root"},
		{"longest name", []File{root, {Path: strings.Repeat("a", maxName), Mode: Regular}}, ""},
		{"longer name", []File{root, {Path: strings.Repeat("a", maxName+1), Mode: Regular}}, "name of 256 bytes"},
		{"attributes", []File{root, {Path: "a", Mode: Regular, Redirect: "/" + strings.Repeat("a", slotSize)}}, "bytes of attributes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Make(tt.files); (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Make: %v; want %q", err, tt.err)
			}
		})
	}
}
