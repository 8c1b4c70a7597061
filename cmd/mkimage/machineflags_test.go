package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

func TestMachineFlags(t *testing.T) {
	for _, tt := range []struct {
		name, want string // "" is no error
		f          machineFlags
	}{
		{"plain", "", machineFlags{memory: "2GiB", cpus: 1, firmware: "a:b"}},
		{"no MiB", "expected whole MiB", machineFlags{memory: "1025KiB", cpus: 1}},
		{"the least", "", machineFlags{memory: "1MiB", cpus: 1}},
		{"too much", "expected whole MiB", machineFlags{memory: "2048TiB", cpus: 1}},
		{"no size", "size", machineFlags{memory: "much", cpus: 1}},
		{"by default", "", machineFlags{memory: "1GiB"}},
		{"below none", "--cpus -1", machineFlags{memory: "1GiB", cpus: -1}},
		{"one file", "expected CODE:VARS", machineFlags{memory: "1GiB", cpus: 1, firmware: "a"}},
		{"no variables", "expected CODE:VARS", machineFlags{memory: "1GiB", cpus: 1, firmware: "a:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.f.config()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != fault.Usage) {
				t.Errorf("config: %v; want %q", err, tt.want)
			}
		})
	}
	c, err := (&machineFlags{memory: "2GiB", cpus: 3, firmware: "a:b"}).config()
	if want := (qemutests.Firmware{Code: "a", Vars: "b"}); err != nil || c.Memory != 2048 || c.CPUs != 3 || c.Firmware != want {
		t.Errorf("config = %+v, %v", c, err)
	}
}

func TestDiskFormat(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{
		"QFI\xfb and more": "qcow2", "QFI": "raw", "": "raw", "\x33\xc0\x8e\xd0\xbc": "raw", zstdMagic + "x": "",
	} {
		name := filepath.Join(dir, "image")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := diskFormat(name)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("diskFormat of %q = %q, %v; want %q", content, got, err, want)
		}
	}
	if _, err := diskFormat(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) || fault.ClassOf(err) != fault.Input {
		t.Errorf("no file: %v", err)
	}
}
