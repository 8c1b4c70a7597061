package imgtest

import (
	"fmt"
	"testing"
)

// recorder stands in for a test and keeps what a gate did to it.
type recorder struct {
	testing.TB
	verdict string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Skip(args ...any)          { r.end("skip: " + fmt.Sprint(args...)) }
func (r *recorder) Fatalf(f string, a ...any) { r.end("fail: " + fmt.Sprintf(f, a...)) }
func (r *recorder) end(verdict string)        { r.verdict = verdict; panic(r) }
func run(gate func(t testing.TB)) (got string) {
	r := &recorder{}
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
		got = r.verdict
	}()
	gate(r)
	return
}

func TestNeed(t *testing.T) {
	const absent = "mkimage-no-such-program"
	tests := []struct {
		name, env string
		tools     []string
		want      string
	}{
		{"present", "", []string{"go"}, ""},
		{"present and required", "1", []string{"go"}, ""},
		{"absent", "", []string{"go", absent}, "skip: needs the program " + absent},
		{"absent and required", "1", []string{absent}, "fail: needs the program " + absent + ", and MKIMAGE_REQUIRE_TOOLS=1 forbids to skip"},
		{"only 1 requires", "0", []string{absent}, "skip: needs the program " + absent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(RequireEnv, tt.env)
			if got := run(func(t testing.TB) { Need(t, tt.tools...) }); got != tt.want {
				t.Errorf("Need(%q) gave %q; want %q", tt.tools, got, tt.want)
			}
		})
	}
}

func TestNeedRoot(t *testing.T) {
	tests := []struct {
		name, require, unprivileged string
		uid                         int
		want                        string
	}{
		{"root", "1", "", 0, ""},
		{"user", "", "", 1000, "skip: needs root"},
		{"user and required", "1", "", 1000, "fail: needs root, and MKIMAGE_REQUIRE_TOOLS=1 forbids to skip"},
		{"user on purpose", "1", "1", 1000, "skip: needs root"},
		{"only 1 is on purpose", "1", "0", 1000, "fail: needs root, and MKIMAGE_REQUIRE_TOOLS=1 forbids to skip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(RequireEnv, tt.require)
			t.Setenv(UnprivilegedEnv, tt.unprivileged)
			if got := run(func(t testing.TB) { needRoot(t, tt.uid) }); got != tt.want {
				t.Errorf("needRoot(%d) gave %q; want %q", tt.uid, got, tt.want)
			}
		})
	}
}
