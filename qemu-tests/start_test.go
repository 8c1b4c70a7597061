package qemutests

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestStartRefused starts machines that cannot: nothing is left of them.
func TestStartRefused(t *testing.T) {
	imgtest.Need(t, Binary, "qemu-img")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, make([]byte, 1<<20), 0o600))
	for _, tt := range []struct {
		name, want string
		class      fault.Class
		c          Config
	}{
		{"missing image", "not found", fault.Input, Config{Disks: []Disk{{File: "/nonexistent.img"}}}},
		{"a directory", "not a file", fault.Input, Config{Disks: []Disk{{File: temp}}}},
		{"not what it is called", "qemu-img", fault.Internal, Config{Disks: []Disk{{File: file, Format: "qcow2"}}}},
		{"no kernel", "could not open kernel file", fault.Internal, Config{Direct: Direct{Kernel: "/nonexistent"}}},
		{"no variables", "firmware variables", fault.Input, Config{Disks: []Disk{{File: file}}, Firmware: Firmware{file, "/nonexistent"}}},
		{"bad config", "neither", fault.Usage, Config{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Accel = TCG
			vm, err := Start(soon(t), tt.c)
			if err == nil {
				vm.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != tt.class {
				t.Errorf("Start: %v (class %d); want %q of class %d", err, fault.ClassOf(err), tt.want, tt.class)
			}
		})
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%s: %v, %v; want nothing left", temp, left, err)
	}
}

// TestMachineWithoutSystem drives a machine that has a disk without anything
// on it: what needs no guest.
func TestMachineWithoutSystem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty.img")
	check(t, os.WriteFile(file, make([]byte, 1<<20), 0o600))
	keep := t.TempDir()
	vm := startVM(t, Config{Name: "empty", Disks: []Disk{{File: file}}, Display: VGA, Keep: keep, Accel: TCG, Memory: 128, Agent: true})
	_, err := vm.Expect(soon(t), `BdsDxe: (failed to load|No bootable)`)
	check(t, err)
	shot := filepath.Join(keep, "shot.png")
	check(t, vm.Screenshot(soon(t), shot))
	notBlank(t, shot)
	check(t, vm.Keys(soon(t), "esc", "ret"))
	if err := vm.Keys(soon(t), "no-such-key"); err == nil || !strings.Contains(err.Error(), "no-such-key") {
		t.Errorf("a key that there is not: %v", err)
	}
	check(t, vm.Reset(soon(t)))
	_, err = vm.Expect(soon(t), `BdsDxe: (failed to load|No bootable)`)
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = vm.Run(ctx, "true")
	failureIsTold(t, err, keep)
	check(t, vm.Quit(soon(t)))
	if err := vm.Execute(soon(t), "query-status", nil, nil); err == nil {
		t.Error("the machine answers after it was quit")
	}
	if b, err := os.ReadFile(file); err != nil || strings.Trim(string(b), "\x00") != "" {
		t.Errorf("the image was written to, or %v", err)
	}
}

// failureIsTold wants an error with all that helps.
func failureIsTold(t *testing.T, err error, keep string) {
	t.Helper()
	if err == nil {
		t.Fatal("Run succeeded without an agent")
	}
	for _, want := range []string{
		"machine empty: test agent:", "BdsDxe", "screenshot: " + keep, "console: " + keep,
		"to start one like it: " + Binary + " -name empty ", "snapshot=on", "deadline exceeded",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if _, err := os.Stat(filepath.Join(keep, "empty-failure.png")); err != nil {
		t.Error(err)
	}
}
