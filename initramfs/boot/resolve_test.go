package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// system makes a root directory: "name -> target" is a symlink, "name/" a
// directory, "name!" a program, everything else a plain file.
func system(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range files {
		name, target, isLink := strings.Cut(f, " -> ")
		full := filepath.Join(root, strings.TrimSuffix(name, "!"))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case isLink:
			err = os.Symlink(target, full)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(full, 0o755)
		case strings.HasSuffix(name, "!"):
			err = os.WriteFile(full, nil, 0o755)
		default:
			err = os.WriteFile(full, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestResolve(t *testing.T) {
	root := system(t, "usr/bin/sh!", "bin -> usr/bin", "abs -> /usr", "up -> ../../../usr/bin", "deep/link -> /abs/bin/sh",
		"loop -> loop", "a -> /b", "b -> /usr/bin", "trail -> usr/")
	tests := []struct{ name, in, want string }{
		{"plain", "/usr/bin/sh", "/usr/bin/sh"},
		{"root", "/", "/"},
		{"relative link", "/bin/sh", "/usr/bin/sh"},
		{"absolute link", "/abs/bin", "/usr/bin"},
		{"two links", "/deep/link", "/usr/bin/sh"},
		{"chain", "/a/sh", "/usr/bin/sh"},
		{"above the root", "/up/sh", "/usr/bin/sh"},
		{"dots above the root", "/../../etc", "/etc"},
		{"dots behind a link", "/bin/../lib", "/usr/lib"},
		{"missing", "/abs/x/y", "/usr/x/y"},
		{"slashes", "//usr///bin/.", "/usr/bin"},
		{"slash in the target", "/trail/bin", "/usr/bin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Resolve(root, tt.in); got != tt.want || err != nil {
				t.Errorf("Resolve(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
	if got, err := Resolve(root, "/loop"); err == nil {
		t.Errorf("Resolve(/loop) = %q; want an error", got)
	}
}

func TestResolveLinkLimit(t *testing.T) {
	for n, ok := range map[int]bool{maxLinks - 1: true, maxLinks: true, maxLinks + 1: false} {
		files := []string{"end"}
		for i := range n {
			target := fmt.Sprintf("l%d", i+1)
			if i == n-1 {
				target = "end"
			}
			files = append(files, fmt.Sprintf("l%d -> %s", i, target))
		}
		if got, err := Resolve(system(t, files...), "/l0"); (err == nil) != ok {
			t.Errorf("%d links: %q, %v; want ok %v", n, got, err, ok)
		}
	}
}

func TestFindInit(t *testing.T) {
	const toplevel = "/nix/store/abc-nixos-system-x"
	nixos := system(t, toplevel[1:]+"/init!", "nix/store/abd-other/", "run/")
	debian := system(t, "usr/lib/systemd/systemd!", "sbin -> usr/sbin", "usr/sbin/init -> ../lib/systemd/systemd", "etc/passwd")
	escaping := system(t, "sbin/init -> /usr/lib/systemd/systemd")
	tests := []struct {
		name, root, asked, want, err, hint string
	}{
		{"asked", nixos, toplevel + "/init", toplevel + "/init", "", ""},
		{"default", debian, "", "/sbin/init", "", ""},
		{"none", nixos, "", "", "none of /sbin/init, /usr/lib/systemd/systemd, /bin/init", "init=PATH"},
		{"link whose target only the initramfs has", escaping, "", "", "none of", "init=PATH"},
		{"asked, dangling", escaping, "/sbin/init", "", "leads to /usr/lib/systemd/systemd, which is not there", "nearest: /sbin"},
		{"other generation", nixos, "/nix/store/abx-nixos/init", "", "not in the root file system", "nearest: /nix/store/abc-nixos-system-x, /nix/store/abd-other"},
		{"directory", debian, "/usr/lib/systemd", "", "expected a program", ""},
		{"not executable", debian, "/etc/passwd", "", "is not executable", ""},
		{"relative", debian, "sbin/init", "", "absolute path", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := findInit(tt.root, tt.asked)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("findInit(%q) = %q, %v; want %q, %q", tt.asked, got, err, tt.want, tt.err)
			}
			if !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("hint %q; want %q", fault.HintOf(err), tt.hint)
			}
		})
	}
}
