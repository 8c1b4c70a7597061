package embedded

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// programs returns what is embedded. Where nothing is, the test is skipped as
// for a missing tool: programs/mkimage-init is what it needs.
func programs(t *testing.T) Programs {
	t.Helper()
	p, err := Load()
	if fault.HintOf(err) == "run make build" {
		imgtest.Need(t, "programs/"+initName)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestStatic: nothing of the source's libraries is in an initramfs.
func TestStatic(t *testing.T) {
	p := programs(t)
	for name, program := range map[string][]byte{initName: p.Init, hibernateName: p.Hibernate} {
		f, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if f.Section(".interp") != nil || f.Machine != elf.EM_X86_64 {
			t.Errorf("%s is for %v, interpreter %v; want a static program for %v", name, f.Machine, f.Section(".interp"), elf.EM_X86_64)
		}
		if f.Section(".symtab") != nil || bytes.Contains(program, []byte("vcs.revision")) {
			t.Errorf("%s has symbols, or names the revision that it was built from", name)
		}
	}
}

// TestBusybox unpacks the commands with other programs and runs some.
func TestBusybox(t *testing.T) {
	imgtest.Need(t, "zstd", "cpio")
	p := programs(t)
	dir := t.TempDir()
	zstd := exec.Command("zstd", "-dc")
	zstd.Stdin = bytes.NewReader(p.Busybox)
	archive, err := zstd.Output()
	if err != nil {
		t.Fatalf("zstd: %v", err)
	}
	cpio := exec.Command("cpio", "-idv", "--quiet", "--no-absolute-filenames")
	cpio.Dir, cpio.Stdin = dir, bytes.NewReader(archive)
	if out, err := cpio.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	names, err := os.ReadDir(filepath.Join(dir, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, must := range []string{"bb", "sh", "gosh", "ls", "mount", "umount", "dmesg", "insmod", "blkid", "chroot", "shutdown"} {
		if !slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name() == must }) {
			t.Errorf("no command %s", must)
		}
	}
	tests := []struct {
		name string
		argv []string
		want string
	}{
		{"shell", []string{"bin/sh", "-c", "echo $((40 + 2))"}, "42\n"},
		{"shell by its name alone", []string{"sh", "-c", "echo yes"}, "yes\n"},
		{"login shell", []string{"-sh", "-c", "echo yes"}, "yes\n"},
		{"command", []string{"bin/basename", "/a/b"}, "b\n"},
		{"command of the shell", []string{"sh", "-c", "basename /c/d"}, "d\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(filepath.Join(dir, "bin", strings.TrimPrefix(filepath.Base(tt.argv[0]), "-")))
			cmd.Args, cmd.Env = tt.argv, []string{"PATH=" + filepath.Join(dir, "bin")}
			out, err := cmd.CombinedOutput()
			if string(out) != tt.want || err != nil {
				t.Errorf("%q printed %q, %v; want %q", tt.argv, out, err, tt.want)
			}
		})
	}
}
