package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
)

func TestInstallable(t *testing.T) {
	tests := []struct{ in, want string }{
		{".#fox", `.#nixosConfigurations."fox".config.system.build.toplevel`},
		{`.#"fox.example.org"`, `.#nixosConfigurations."fox.example.org".config.system.build.toplevel`},
		{".#nixosConfigurations.fox", ".#nixosConfigurations.fox.config.system.build.toplevel"},
		{`.#nixosConfigurations."a.config.b"`, `.#nixosConfigurations."a.config.b".config.system.build.toplevel`},
		{".#nixosConfigurations.fox.config.system.build.toplevel", ".#nixosConfigurations.fox.config.system.build.toplevel"},
		{".#nixosConfigurations.fox.config.system.build.other", ".#nixosConfigurations.fox.config.system.build.other"},
		{".#packages.x86_64-linux.system", ".#packages.x86_64-linux.system"},
		{"github:a/b?dir=c#fox", `github:a/b?dir=c#nixosConfigurations."fox".config.system.build.toplevel`},
	}
	for _, tt := range tests {
		_, f, err := Spec{Nix, tt.in}.nix()
		if got := f.installable(); err != nil || got != tt.want {
			t.Errorf("installable of %s = %s, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

// fakeNix puts a program in the place of Nix, which notes how it was called in the file
// whose name is returned.
func fakeNix(t *testing.T, script string) (args string) {
	t.Helper()
	dir := t.TempDir()
	args = filepath.Join(dir, "args")
	text := "#!/bin/sh\nprintf '%s\\n' \"$@\" >'" + args + "'\n" + script
	if err := os.WriteFile(dir+"/nix", []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return args
}

func TestFlakeBuild(t *testing.T) {
	const base = "8imkijbx8qjiyl5bask7p14jr2idq8nr-nixos-system-fox"
	tests := []struct {
		name, script string
		want         string // error, "" for none
		hint         string
	}{
		{"a path", `echo '[{"drvPath":"/nix/store/x.drv","outputs":{"out":"/nix/store/` + base + `"}}]'`, "", ""},
		{"a base name", `echo '[{"outputs":{"out":"` + base + `"},"startTime":1}]'`, "", ""},
		{"two outputs", `echo '[{"outputs":{"dev":"` + base + `","out":"` + base + `"}}]'`, "made 2 store paths, expected one", hintOutput},
		{"two derivations", `echo '[{"outputs":{"out":"` + base + `"}},{"outputs":{"out":"` + base + `"}}]'`, "made 2 store paths, expected one", hintOutput},
		{"nothing", `echo '[]'`, "made 0 store paths, expected one", hintOutput},
		{"no path", `echo '[{"outputs":{"out":"/etc/passwd"}}]'`, `"/etc/passwd": expected /nix/store/HASH-NAME`, hintOutput},
		{"no JSON", `echo hello`, `printed "hello\n": invalid character`, hintOutput},
		{"endless", `yes`, "printed more than 1048576 bytes", hintOutput},
		{"a failure", `printf 'evaluating\nerror:\033[31m too\nbad' >&2; exit 1`, "exit status 1; it says:\n  error:[31m too\n  bad", ""},
		{"no attribute", `echo "error: flake 'x' does not provide attribute 'y'" >&2; exit 1`, "does not provide attribute", hintAttribute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := fakeNix(t, tt.script)
			path, err := flake{"/f", "fox"}.build(t.Context(), "/chroot", io.Discard)
			if tt.want == "" && (err != nil || path.Base() != base) {
				t.Errorf("build = %v, %v; want %s", path, err, base)
			}
			start := `nix build /f#nixosConfigurations."fox".config.system.build.toplevel: `
			if text := fmt.Sprint(err); tt.want != "" && (fault.ClassOf(err) != fault.Input || fault.HintOf(err) != tt.hint || !strings.HasPrefix(text, start) || !strings.Contains(text, tt.want)) {
				t.Errorf("error %q of class %d with hint %q; want %q and %q", text, fault.ClassOf(err), fault.HintOf(err), tt.want, tt.hint)
			}
			data, err := os.ReadFile(args)
			if err != nil || !strings.HasPrefix(string(data), "build\n") || !strings.Contains(string(data), "\n--no-link\n--json\n") || !strings.Contains(string(data), "\n--store\n/chroot\n") {
				t.Errorf("called with %q, %v", data, err)
			}
		})
	}
}

func TestFlakeWithoutNix(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := flake{".", "fox"}.build(t.Context(), "/", io.Discard)
	if fault.ClassOf(err) != fault.Input || !strings.HasPrefix(fmt.Sprint(err), "source nix:.#fox: ") || !strings.Contains(fault.HintOf(err), "cache:URL#STOREPATH") {
		t.Errorf("error %v with hint %q", err, fault.HintOf(err))
	}
}

// TestFlakeCancel: with Nix ends what it started, which else would keep its output open.
func TestFlakeCancel(t *testing.T) {
	fakeNix(t, "echo begun >&2\nsleep 1000 &\nwait\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	begin := time.Now()
	_, err := flake{".", "fox"}.build(ctx, "/", writerFunc(func(p []byte) (int, error) {
		cancel(stop)
		return len(p), nil
	}))
	if took := time.Since(begin); !errors.Is(err, stop) || took > stopWait/2 {
		t.Errorf("error %v after %v; want %v at once", err, took, stop)
	}
}

// aFlake is a flake that needs no other.
const aFlake = `{ outputs = { self }: {
  nixosConfigurations.fox.config.system.build.toplevel =
    derivation { name = "nixos-system-fox"; system = "builtin"; builder = "builtin:buildenv"; derivations = []; manifest = "/dummy"; };
  nixosConfigurations.bad = throw "no such option";
  nixosConfigurations.broken.config.system.build.toplevel = derivation { name = "broken"; system = "builtin"; builder = "builtin:absent"; };
}; }
`

// TestFlakeOfNix: Nix itself builds a flake into a store of its own, and says what is
// wrong.
func TestFlakeOfNix(t *testing.T) {
	imgtest.Need(t, "nix")
	dir, store := t.TempDir(), filepath.Join(t.TempDir(), "store")
	for _, v := range nixcache.Environment(dir) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Cleanup(func() {
		if err := nixcache.Writable(store); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(dir+"/flake.nix", []byte(aFlake), 0o644); err != nil {
		t.Fatal(err)
	}
	for attribute, want := range map[string]string{
		"fox": "", "absent": "does not provide attribute", "bad": "error: no such option", "broken": "error: ",
	} {
		var log bytes.Buffer
		path, err := flake{"path:" + dir, attribute}.build(t.Context(), store, &log)
		switch {
		case want != "":
			if fault.ClassOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), "it says:\n  error: ") || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%s: error %v; want %q", attribute, err, want)
			}
		case err != nil || path.Name != "nixos-system-fox" || !strings.Contains(log.String(), "building '/nix/store/"):
			t.Errorf("%s: %v, %v; log %q", attribute, path, err, log.String())
		default:
			if _, err := os.Stat(store + path.String()); err != nil {
				t.Error(err)
			}
		}
	}
	// What was built is a directory, and no system: that shows when it is looked into.
	o := cacheOptions(t)
	o.Nix.Store = store
	s, err := Open(t.Context(), Spec{Nix, "path:" + dir + "#fox"}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Kernels(s.Tree); fault.ClassOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), "nixos-system-fox") {
		t.Errorf("kernels: %v", err)
	}
}

func TestReplyLimit(t *testing.T) {
	for n, ok := range map[int]bool{maxReply - 1: true, maxReply: true, maxReply + 1: false} {
		var r reply
		_, err := io.Copy(&r, strings.NewReader(strings.Repeat(" ", n)))
		if (err == nil) != ok || (r.err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
