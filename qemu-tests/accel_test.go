package qemutests

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestProbeGuest runs the probe's guest where it must pass, and with QEMUs
// that end otherwise.
func TestProbeGuest(t *testing.T) {
	imgtest.Need(t, Binary)
	check(t, runProbe(soon(t), Binary, TCG))
	dir := t.TempDir()
	for name, script := range map[string]string{
		"ends well":  "exit 0",
		"ends badly": "exit 1",
		"hangs":      "exec tail -f /dev/null",
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(dir, "qemu")
			check(t, os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := runProbe(ctx, program, KVM); err == nil {
				t.Error("the probe passed")
			}
		})
	}
}

// TestProbeROM wants the guest to be what its comments say where that can be
// seen from here: the reset vector and the address of the far jump.
func TestProbeROM(t *testing.T) {
	rom := probeROM()
	if len(rom) != 64<<10 {
		t.Errorf("%d bytes; want 64 KiB", len(rom))
	}
	if rom[romReset] != 0xea || rom[0] != 0xfa {
		t.Errorf("reset vector % x, first instruction %x", rom[romReset:romReset+5], rom[0])
	}
	if len(realModeCode())+8+len(longModeCode()) > romPointer {
		t.Error("the code reaches into the descriptor table")
	}
}

func TestChooseAccel(t *testing.T) {
	for _, tt := range []struct {
		name, env     string
		cheap, costly bool
		want          Accel
		asked         int // how many of the two
	}{
		{"no device", "", false, true, TCG, 1},
		{"fails the probe", "", true, false, TCG, 2},
		{"usable", "", true, true, KVM, 2},
		{"told tcg", "tcg", true, true, TCG, 0},
		{"told kvm", "kvm", false, false, KVM, 0},
		{"told nonsense", "xen", true, true, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			ask := func(answer bool) func() bool { return func() bool { asked++; return answer } }
			got, err := chooseAccel(tt.env, ask(tt.cheap), ask(tt.costly))
			if got != tt.want || asked != tt.asked || (err != nil) != (tt.want == "") {
				t.Errorf("chooseAccel = %q, %v after %d questions; want %q after %d", got, err, asked, tt.want, tt.asked)
			}
		})
	}
}

func TestVirtualises(t *testing.T) {
	for flags, want := range map[string]bool{
		" fpu vmx sse": true, "svm": true, "fpu vmx_ept svm_lock": false, "": false,
	} {
		if got := virtualises(flags); got != want {
			t.Errorf("virtualises(%q) = %v; want %v", flags, got, want)
		}
	}
}

func TestFindFirmware(t *testing.T) {
	root := t.TempDir()
	put := func(name string) {
		t.Helper()
		file := filepath.Join(root, name)
		check(t, os.MkdirAll(filepath.Dir(file), 0o755))
		check(t, os.WriteFile(file, []byte("vars"), 0o644))
	}
	_, err := FindFirmware(root)
	if err == nil || fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "" {
		t.Errorf("nowhere: %v; want an error of class Input with a hint", err)
	}
	put(firmwarePlaces[0].Code) // without its variables
	put(firmwarePlaces[2].Code)
	put(firmwarePlaces[2].Vars)
	got, err := FindFirmware(root)
	if want := filepath.Join(root, firmwarePlaces[2].Code); err != nil || got.Code != want {
		t.Errorf("FindFirmware = %+v, %v; want %s", got, err, want)
	}
}

func TestCopyVars(t *testing.T) {
	dir := t.TempDir()
	template := filepath.Join(dir, "template")
	check(t, os.WriteFile(template, []byte("fresh"), 0o444))
	own, err := copyVars(template, dir)
	check(t, err)
	check(t, os.WriteFile(own, []byte("with an entry"), 0o600))
	again, err := copyVars(template, dir)
	check(t, err)
	if b, err := os.ReadFile(again); err != nil || again != own || string(b) != "with an entry" {
		t.Errorf("the second time %s has %q, %v; want the first copy as it is", again, b, err)
	}
	if _, err := copyVars(filepath.Join(dir, "missing"), t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no template: %v", err)
	}
}
