// Package imgtest holds what the tests of several packages share: the gates
// for tests that need a foreign program or root.
//
// A test behind a gate is skipped on a machine that lacks what it needs, and
// fails there when MKIMAGE_REQUIRE_TOOLS=1 is set, so that continuous
// integration cannot pass by skipping. It is imported by tests only.
package imgtest

import (
	"os"
	"os/exec"
	"testing"
)

// RequireEnv names the environment variable that turns skips into failures
// when its value is "1".
const RequireEnv = "MKIMAGE_REQUIRE_TOOLS"

// UnprivilegedEnv names the environment variable whose value "1" says that an
// ordinary user runs the tests on purpose, beside a run as root: NeedRoot skips
// then even under RequireEnv.
const UnprivilegedEnv = "MKIMAGE_UNPRIVILEGED"

// Need skips the test, or fails it under RequireEnv, unless every tool is
// found. Tools are names looked up in PATH, or paths.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			skip(t, "needs the program "+tool)
		}
	}
}

// NeedRoot skips the test, or fails it under RequireEnv without
// UnprivilegedEnv, unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	needRoot(t, os.Geteuid())
}

func needRoot(t testing.TB, uid int) {
	t.Helper()
	switch {
	case uid == 0:
	case os.Getenv(UnprivilegedEnv) == "1":
		t.Skip("needs root")
	default:
		skip(t, "needs root")
	}
}

func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(RequireEnv) == "1" {
		t.Fatalf("%s, and %s=1 forbids to skip", why, RequireEnv)
	}
	t.Skip(why)
}
