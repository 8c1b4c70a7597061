package boot

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// systemScript is the /init of a system. It says what it finds.
const systemScript = `#!/bin/sh
echo "$0 $*"
echo "pid $$ word $word"
echo "root" $(ls /)
echo "run" $(ls /run)
mount -t proc proc /proc
echo "mounts" $(while read -r what where rest; do echo $where; done </proc/self/mounts)
`

// TestPrelude runs mkimage-init as PID 1 of a root directory in memory, with a
// configuration that stops its duties before they look at a disk. The system's init
// must find all as it was before.
func TestPrelude(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "go", "sh", "mount")
	program := initProgram(t)
	for _, tt := range []struct {
		name, config, want string
	}{
		{"configuration of another version", `{"version": 99}`, "mkimage-prelude: exit status 1"},
		{"no configuration", "", "mkimage-prelude: exit status 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := memoryRoot(t, program)
			if tt.config != "" {
				writeFile(t, filepath.Join(root, config.PreludeDir, config.Path), tt.config, 0o644)
			}
			out, errs := runAsInit(t, root)
			want := "/init first second\npid 1 word kept\nroot bin dev init lib lib64 proc run usr\nrun\nmounts / /usr /proc\n"
			if diff := cmp.Diff(want, out); diff != "" {
				t.Errorf("the system finds (-want +got):\n%s", diff)
			}
			if !strings.Contains(errs, tt.want) {
				t.Errorf("console: %q; want %q", errs, tt.want)
			}
		})
	}
}

// TestPreludeSilent: a kernel without a console starts PID 1 without standard files.
func TestPreludeSilent(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "go", "sh", "mount")
	root := memoryRoot(t, initProgram(t))
	null := filepath.Join(root, "dev/null")
	writeFile(t, null, "", 0o666)
	p, err := os.StartProcess(config.PreludeInit, []string{config.PreludeInit, "first"}, &os.ProcAttr{
		Dir: "/", Env: []string{"PATH=/usr/bin:/usr/sbin", "word=kept"}, // and no files
		Sys: &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS},
	})
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.Wait()
	if err != nil || !state.Success() {
		t.Fatalf("%v, %v", state, err)
	}
	said, err := os.ReadFile(null)
	if err != nil || !strings.Contains(string(said), "pid 1 word kept\n") {
		t.Errorf("the system says %q, %v", said, err)
	}
}

// initProgram builds mkimage-init as it is in an archive, and returns where.
func initProgram(t *testing.T) string {
	t.Helper()
	t.Setenv("CGO_ENABLED", "0")
	program := filepath.Join(t.TempDir(), "mkimage-init")
	run(t, "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "github.com/6FaNcY9/mkimage/cmd/mkimage-init")
	return program
}

// memoryRoot makes what the kernel unpacks: a system's initrd and our prelude. The programs
// of the system are those of this host.
func memoryRoot(t *testing.T, program string) string {
	t.Helper()
	root := t.TempDir()
	mountAt := func(source, target, kind string, flags uintptr) {
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	}
	mountAt("tmpfs", root, "tmpfs", 0)
	for _, dir := range []string{"usr", "dev", "proc", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mountAt("/usr", filepath.Join(root, "usr"), "", unix.MS_BIND)
	for _, name := range []string{"bin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(root, systemInit), systemScript, 0o755)
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, config.PreludeInit), string(text), 0o755)
	return root
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// runAsInit runs the prelude as the kernel does, and returns what comes out of it.
func runAsInit(t *testing.T, root string) (out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), config.PreludeInit)
	cmd.Args = []string{config.PreludeInit, "first", "second"}
	cmd.Env = []string{"PATH=/usr/bin:/usr/sbin", "word=kept"}
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = "/", nil, &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String(), stderr.String()
}
