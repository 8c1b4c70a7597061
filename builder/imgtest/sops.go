package imgtest

import (
	"os/exec"
	"strings"
	"testing"
)

// sopsModule is the program that go.mod has as a tool.
const sopsModule = "github.com/getsops/sops/v3/cmd/sops"

// Sops returns the path of the program sops: an installed one, or else the tool
// of go.mod. Go builds and keeps that, which takes minutes the first time.
func Sops(t testing.TB) string {
	t.Helper()
	if program, err := exec.LookPath("sops"); err == nil {
		return program
	}
	Need(t, "go")
	cmd := exec.Command("go", "tool", "-n", sopsModule)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}
