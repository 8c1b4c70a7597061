package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// The mounts of a rescue environment, and those of a system that was entered.
const (
	own = `1 0 0:2 / / rw - rootfs rootfs rw
2 1 0:5 / /dev rw - devtmpfs devtmpfs rw
3 2 0:6 / /dev/pts rw - devpts devpts rw
4 1 0:7 / /run rw - tmpfs tmpfs rw
`
	entered = own + `5 1 0:30 /@ /run/mkimage/system rw - btrfs /dev/vda2 rw
6 5 8:1 / /run/mkimage/system/boot rw - vfat /dev/vda1 rw
7 5 0:5 / /run/mkimage/system/dev rw - devtmpfs devtmpfs rw
8 7 0:6 / /run/mkimage/system/dev/pts rw - devpts devpts rw
9 1 0:31 / /run/mkimage/systems rw - tmpfs tmpfs rw
`
)

func TestPower(t *testing.T) {
	inUse := errors.New("device or resource busy")
	below := []string{"/run/mkimage/system/dev/pts", "/run/mkimage/system/dev", "/run/mkimage/system/boot", "/run/mkimage/system"}
	tests := []struct {
		name, mounts, answer string
		busy                 string // point that cannot be unmounted
		unmounted            []string
		reboots              bool
		want                 string // of the error
	}{
		{"nothing mounted", own, "", "", nil, true, ""},
		{"agreed", entered, "unmount\n", "", below, true, ""},
		{"agreed without Enter", entered, " unmount", "", below, true, ""},
		{"not agreed", entered, "yes\n", "", nil, false, "reboot: /run/mkimage/system is mounted, and nobody agreed to unmount"},
		{"nobody there", entered, "", "", nil, false, "nobody agreed"},
		{"in use", entered, "unmount\n", "/run/mkimage/system/boot", below, false, "/run/mkimage/system/boot: device or resource busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var unmounted, did []string
			var out bytes.Buffer
			p := &power{
				mounts: func() ([]mountinfo.Mount, error) { return mountinfo.Parse(tt.mounts), nil },
				unmount: func(point string) error {
					unmounted = append(unmounted, point)
					if point == tt.busy {
						return inUse
					}
					return nil
				},
				sync: func() { did = append(did, "sync") },
				reboot: func(command int) error {
					if command == unix.LINUX_REBOOT_CMD_RESTART {
						did = append(did, "reboot")
					}
					return nil
				},
				in: strings.NewReader(tt.answer), out: &out,
			}
			err := p.end("reboot", unix.LINUX_REBOOT_CMD_RESTART)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
			if tt.want != "" && fault.HintOf(err) == "" && tt.busy == "" {
				t.Error("no hint")
			}
			if diff := cmp.Diff(tt.unmounted, unmounted); diff != "" {
				t.Errorf("unmounted (-want +got):\n%s", diff)
			}
			if got := strings.Join(did, " "); (got == "sync reboot") != tt.reboots || !tt.reboots && got != "" {
				t.Errorf("did %q; want a reboot: %v", got, tt.reboots)
			}
			if asked := strings.Contains(out.String(), "Mounted: /run/mkimage/system, "); asked != (tt.mounts == entered) {
				t.Errorf("question:\n%s", &out)
			}
		})
	}
}

func TestBoard(t *testing.T) {
	b := &board{path: filepath.Join(t.TempDir(), "state")}
	for _, tt := range []struct{ name, line, want string }{
		{"ssh", "root@10.0.2.15", "ssh: root@10.0.2.15\n"},
		{"network", "eth0 10.0.2.15", "network: eth0 10.0.2.15\nssh: root@10.0.2.15\n"},
		{"ssh", "", "network: eth0 10.0.2.15\n"},
	} {
		if err := b.set(tt.name, tt.line); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(b.path); err != nil || string(text) != tt.want {
			t.Errorf("after %s: %q, %v; want %q", tt.name, text, err, tt.want)
		}
	}
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	j.printf("eth0: %s", "two\nlines \x1b[2J")
	j.close()
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(text), ` "eth0: two lines \x1b[2J"`+"\n") || strings.Count(string(text), "\n") != 1 {
		t.Errorf("log %q, %v", text, err)
	}
}

func TestDecodePlan(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "plan of the medium: "},
		{"another form", `{"version": "x"}`, "plan of the medium: "},
		{"too large", strings.Repeat(" ", maxPlan+1), "plan of the medium: expected at most"},
	} {
		if _, err := decodePlan(strings.NewReader(tt.text)); err == nil || !strings.HasPrefix(err.Error(), tt.want) || fault.ClassOf(err) != fault.Input {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, n := range []int{maxPlan - 1, maxPlan} {
		if _, err := decodePlan(strings.NewReader(strings.Repeat(" ", n-2) + "{}")); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
