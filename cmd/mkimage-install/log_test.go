package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// onMedium is an installation from a medium, with the medium's file behind it.
func (b *bench) onMedium() *here {
	b.t.Helper()
	key, err := signature.ParsePublic([]byte(b.key))
	if err != nil {
		b.t.Fatal(err)
	}
	disk, err := rawdisk.Open(b.medium, os.O_RDONLY)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { disk.Close() })
	m, err := installer.OpenMedium(disk, disk.Size(), verifier(key))
	if err != nil {
		b.t.Fatal(err)
	}
	show := &display{terminals: terminal.Open(nil), record: record{began: time.Unix(1_700_000_000, 0)}}
	return &here{medium: m, device: disks.Disk{Path: b.medium, Size: disk.Size()}, show: show}
}

// logOf reads the log with mtools.
func (b *bench) logOf(h *here) string {
	b.t.Helper()
	at := h.medium.Manifest.Partition(plan.RoleESP).Start
	out, err := exec.CommandContext(b.t.Context(), "mtype", "-i", b.medium+"@@"+strconv.FormatInt(at, 10), "::"+mediumlog.Path).Output()
	if err != nil {
		b.t.Fatal(err)
	}
	return string(out)
}

// TestLog installs twice from a medium, the first time in vain.
func TestLog(t *testing.T) {
	b := newBench(t)
	first := b.onMedium()
	first.show.begin("choose the disk")
	first.show.fact(factTarget, "a disk")
	first.saveLog() // it must not be there twice
	first.show.end(errors.New("none"))
	first.show.failed(fault.New(fault.Target, "plug one in", "no disk\nat all"))
	first.saveLog()
	got := b.logOf(first)
	for _, want := range []string{"installation of 2023-11-14 22:13:20 UTC", " s  onto: a disk\n", "choose the disk: FAILED after", "ended with code 5: no disk at all hint: plug one in\n"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%d times %q in\n%s", strings.Count(got, want), want, strings.TrimSpace(got))
		}
	}
	second := b.onMedium()
	second.show.note("all is well")
	second.saveLog()
	got = b.logOf(second)
	if i, j := strings.Index(got, "note: all is well"), strings.Index(got, "onto: a disk"); i < 0 || j < i {
		t.Errorf("the newest is not the first:\n%s", strings.TrimSpace(got))
	}
}

// TestLogReadOnly has a medium that cannot be written: that stops nothing.
func TestLogReadOnly(t *testing.T) {
	b := newBench(t)
	h := b.onMedium()
	h.device.Path += "-gone"
	h.saveLog()
	if notes := h.show.notes(); len(notes) != 1 || !strings.Contains(notes[0], "log of the medium") {
		t.Errorf("notes %q", notes)
	}
	(&here{show: h.show}).saveLog() // no medium was found yet
	if len(h.show.notes()) != 1 {
		t.Errorf("notes %q", h.show.notes())
	}
}
