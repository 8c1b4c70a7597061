package qemutests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binaryEnv names the environment variable that says which mkimage is tested
// instead of one that is built from this checkout.
const binaryEnv = "MKIMAGE_BINARY"

// The tests run mkimage as users do: a program, which is built once in a run.
var (
	buildDir  string
	buildOnce = sync.OnceValues(func() (string, error) {
		if program := os.Getenv(binaryEnv); program != "" {
			return filepath.Abs(program)
		}
		program := filepath.Join(buildDir, "mkimage")
		out, err := exec.Command("go", "build", "-o", program, "../cmd/mkimage").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go build: %w\n%s", err, out)
		}
		return program, nil
	})
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "qemutests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func builtMkimage(t testing.TB) string {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// keepDir returns a folder for logs and screenshots of a test that outlives it.
func keepDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".cache", "qemu-tests", t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}
