package userland

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func TestSplit(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"@/home/ada", "@/var", "@/etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := split(dir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"@/home", "@/nix", "@/var", "@/etc", "@home/ada", "@nix", "@var"} {
		if info, err := os.Stat(filepath.Join(dir, d)); err != nil || !info.IsDir() {
			t.Errorf("%s: %v; want a directory", d, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "@/home/ada")); err == nil {
		t.Error("@/home is not empty")
	}
}

// TestReferenceIsThere looks at the userland, which is made if need be.
func TestReferenceIsThere(t *testing.T) {
	imgtest.NeedRoot(t)
	u := Reference(t)
	for _, p := range []string{u.Dir + "/usr/lib/systemd/systemd", u.Split + "/@/usr/lib/systemd/systemd", u.Split + "/@var/lib/dpkg/status", u.Split + "/@home", u.Split + "/@nix", u.Tar} {
		if _, err := os.Stat(p); err != nil {
			t.Error(err)
		}
	}
	kernels, err := filepath.Glob(u.Dir + "/boot/vmlinuz-*")
	if err != nil || len(kernels) == 0 {
		t.Errorf("no kernel in %s/boot: %v", u.Dir, err)
	}
}
