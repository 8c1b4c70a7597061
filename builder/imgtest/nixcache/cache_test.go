package nixcache

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestNix: Nix takes what is made, with its signatures.
func TestNix(t *testing.T) {
	imgtest.Need(t, "nix")
	imgtest.NeedRoot(t)
	objects, err := System("26.05")
	if err != nil {
		t.Fatal(err)
	}
	many := map[string]File{"a.b": {Content: []byte("1")}, "a/b": {Content: []byte("2")}, "a-b": {Link: "a/b"}}
	objects = append(objects, Object{Name: "order", Files: many}, Object{Name: "one", Files: map[string]File{"": {Content: []byte("alone")}}})
	for _, compression := range []string{"none", "zstd", "gzip"} {
		dir, store := t.TempDir(), t.TempDir()
		if err := Write(dir, compression, objects); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("nix", "--extra-experimental-features", "nix-command", "copy", "--from", "file://"+dir, "--to", store,
			Path(Toplevel("26.05")).String(), Path("order").String(), Path("one").String())
		cmd.Env = append(cmd.Environ(), "NIX_CONFIG=build-users-group =\nsubstituters =\ntrusted-public-keys = "+Key()+"\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: nix copy: %v\n%s", compression, err, out)
		}
		out, err := exec.Command("cat", store+Path("order").String()+"/a/b", store+Path("one").String()).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "2alone") {
			t.Errorf("%s: %q, %v", compression, out, err)
		}
	}
}
