package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestSameImageOnAnotherDay builds an image with a mkimage whose clock is three
// years ahead: a static program asks the kernel itself, so that no preloaded
// library changes what it sees, and the compiler replaces time.Now instead.
func TestSameImageOnAnotherDay(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes, for MKIMAGE_FULL=1")
	}
	imgtest.Need(t, "go")
	b := newSmallBuild(t)
	b.build("today.img")
	b.program = programOfAnotherDay(t, b.dir)
	b.build("later.img")
	for _, suffix := range []string{"", ".manifest.json", ".spdx.json"} {
		today, later := b.digest("today.img"+suffix), b.digest("later.img"+suffix)
		if today != later || today == "" {
			t.Errorf("disk.img%s: sha256 %s today, %s three years later", suffix, today, later)
		}
	}
}

// programOfAnotherDay builds mkimage with a package time of its own.
func programOfAnotherDay(t *testing.T, dir string) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const reading = "\tsec, nsec, mono := runtimeNow()\n"
	ahead := strings.Replace(string(text), reading, reading+"\tsec += 3 * 365 * 24 * 60 * 60\n", 1)
	if ahead == string(text) {
		t.Fatalf("%s: time.Now does not hold %q any more", original, reading)
	}
	changed, overlay, program := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mkimage-later")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{changed: []byte(ahead), overlay: replace} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}
