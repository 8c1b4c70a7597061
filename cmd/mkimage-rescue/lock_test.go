package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestAlone: one at a time, and the other is told of which.
func TestAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "lock")
	long := "12 " + strings.Repeat("x", maxLock)
	for _, tt := range []struct{ who, want string }{
		{"12 recover --to /dev/sda", `"recover --to /dev/sda" runs (process 12): expected no other command that writes to disks`},
		{"", `"another command" runs (process unknown): expected no other command that writes to disks`},
		{long, `"` + long[3:maxLock] + `" runs (process 12): expected no other command that writes to disks`},
	} {
		release, err := alone(path, tt.who)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := alone(path, "13 boot"); err == nil || err.Error() != tt.want || fault.ClassOf(err) != fault.Target || fault.HintOf(err) == "" {
			t.Errorf("beside %q: %v", tt.who, err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
}

// readers are the commands that write to no disk, and run beside one that does.
var readers = []string{
	"browse", "check", "check --scrub", "inventory", "menu", "shell", "machine", "wifi", "save", "boot --dry-run", "copy / --to /x --dry-run", "enter --read-only", "generation --list", "generation --dry-run", "home --dry-run",
	"key --dry-run", "recover --dry-run", "rollback --list", "rollback --dry-run", "swapfile --dry-run",
}

// writers are those that write.
var writers = []string{
	"boot", "boot --yes", "check --scrub --heal", "copy / --to /x", "enter", "generation", "home", "key", "key --to-medium /x", "recover", "rollback", "save disk", "save files", "swapfile",
}

// TestWritersAlone: what writes is refused beside another command, before it does
// anything, and what reads is not. Each command is one of both.
func TestWritersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := alone(path, "12 recover")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	refused := func(line string) bool {
		var out bytes.Buffer
		args := strings.Fields(line)
		if f := newRoot(&program{}); f != nil {
			if c, _, err := f.Find(args); err == nil && c.Flags().Lookup("image") != nil {
				args = append(args, "--image", "/dev/null") // so that it is over soon
			}
		}
		p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &out, lock: path}
		code := p.run(t.Context(), args)
		return code == int(fault.Target) && strings.Contains(out.String(), `"recover" runs (process 12)`)
	}
	known := map[string]bool{"mkimage-rescue reboot": true, "mkimage-rescue poweroff": true} // are refused elsewhere than on a medium
	note := func(line string) {
		if c, _, err := newRoot(&program{}).Find(strings.Fields(line)); err == nil {
			known[c.CommandPath()] = true
		}
	}
	for _, line := range writers {
		if note(line); !refused(line) {
			t.Errorf("%s: runs beside another", line)
		}
	}
	for _, line := range readers {
		if note(line); line != "menu" && line != "shell" && refused(line) { // these do not end by themselves
			t.Errorf("%s: is refused beside another", line)
		}
	}
	eachCommand(newRoot(&program{}), func(c *cobra.Command) {
		if !known[c.CommandPath()] {
			t.Errorf("%s: is named neither by readers nor by writers", c.CommandPath())
		}
	})
}

// eachCommand calls do with each command but the root and what cobra adds.
func eachCommand(c *cobra.Command, do func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if sub.Name() != "help" {
			do(sub)
			eachCommand(sub, do)
		}
	}
}

// TestLockGoesWithCommand: the lock is free when the command has ended, and named it with
// its process while it ran.
func TestLockGoesWithCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var out bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &out, lock: path, args: []string{"boot", "/dev/sda"}}
	root := &cobra.Command{Use: "p"}
	root.AddCommand(p.writing(&cobra.Command{Use: "boot"}, func(context.Context, []string) error {
		want := fmt.Sprintf(`"boot /dev/sda" runs (process %d)`, os.Getpid())
		if _, err := p.alone(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("meanwhile: %v; want %q", err, want)
		}
		return fault.New(fault.Target, "", "failed")
	}))
	root.SetArgs([]string{"boot"})
	root.SilenceErrors, root.SilenceUsage = true, true
	if err := root.ExecuteContext(t.Context()); err == nil || err.Error() != "failed" {
		t.Errorf("error %v", err)
	}
	release, err := p.alone()
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
