package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestPowerInsists: who insists is not asked, and neither an error nor a disk that hangs
// keeps the machine from its end.
func TestPowerInsists(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error // of the mounts
		want string
	}{
		{"mounted", nil, "sync unmount unmount unmount unmount sync reboot"},
		{"it cannot be told what is mounted", os.ErrPermission, "sync sync reboot"},
	} {
		var did []string
		var out bytes.Buffer
		p := &power{
			mounts: func() ([]mountinfo.Mount, error) {
				if tt.err != nil {
					return nil, tt.err
				}
				return mountinfo.Parse(entered), nil
			},
			unmount: func(string) error { did = append(did, "unmount"); return unix.EBUSY },
			sync:    func() { did = append(did, "sync") },
			reboot:  func(int) error { did = append(did, "reboot"); return nil },
			in:      strings.NewReader(""), out: &out,
		}
		p.insist()
		if err := p.end("reboot", unix.LINUX_REBOOT_CMD_RESTART); err != nil || strings.Join(did, " ") != tt.want || strings.Contains(out.String(), "Type") {
			t.Errorf("%s: did %q, %v; want %q\n%s", tt.name, did, err, tt.want, &out)
		}
	}
	never := make(chan struct{})
	defer close(never)
	if err := within(time.Millisecond, func() error { <-never; return nil }); !errors.Is(err, errHangs) {
		t.Errorf("what hangs: %v", err)
	}
}

// TestLastCommand: the holder of the lock is ended where just it was named, and is not
// waited for without end.
func TestLastCommand(t *testing.T) {
	for _, tt := range []struct {
		name      string
		holder    string // "" for none
		interrupt int
		ends      bool // the holder does when it is told to
		bad       bool // the lock cannot be opened
		want      string
		hint      string
		killed    bool
	}{
		{name: "free"},
		{name: "free, and somebody named", interrupt: 12},
		{name: "held", holder: "12 boot", want: `"boot" runs (process 12)`, hint: "mkimage-rescue reboot --interrupt 12"},
		{name: "another one is named", holder: "12 boot", interrupt: 13, want: `"boot" runs (process 12)`, hint: "mkimage-rescue reboot --interrupt 12"},
		{name: "one who has not said yet who it is", holder: " ", interrupt: 12, want: "process unknown", hint: "run it again"},
		{name: "ends", holder: "12 boot", interrupt: 12, ends: true, killed: true},
		{name: "hangs", holder: "12 boot", interrupt: 12, killed: true},
		{name: "no lock can be had", bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			end := func() error { return nil }
			if tt.holder != "" {
				var err error
				end, err = alone(path, tt.holder)
				must(t, err)
				defer func() { _ = end() }()
			}
			if tt.bad {
				must(t, os.Mkdir(path, 0o700))
			}
			killed := 0
			var out bytes.Buffer
			l := lastCommand{name: "reboot", lock: path, interrupt: tt.interrupt, patience: time.Minute, out: &out, kill: func(pid int, signal unix.Signal) error {
				if pid != 12 || signal != unix.SIGTERM {
					t.Errorf("process %d gets %v", pid, signal)
				}
				killed++
				if tt.ends {
					return end()
				}
				return nil
			}}
			if !tt.ends {
				l.patience = 10 * time.Millisecond
			}
			release, err := l.take(t.Context())
			if (killed > 0) != tt.killed {
				t.Errorf("killed: %d; want %v", killed, tt.killed)
			}
			if tt.want != "" {
				if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want) || !strings.Contains(fault.HintOf(err), tt.hint) {
					t.Errorf("%v, hint %s; want %s, %s", err, fault.HintOf(err), tt.want, tt.hint)
				}
				return
			}
			must(t, err, release())
			if hangs := strings.Contains(out.String(), "process 12 does not end: reboot goes on without it"); hangs != (tt.name == "hangs") {
				t.Errorf("said:\n%s", &out)
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
