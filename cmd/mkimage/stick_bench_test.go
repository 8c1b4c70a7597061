package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Bytes per second of a USB 3 stick that reads well and writes as most do.
const (
	stickReads  = 300 << 20
	stickWrites = 30 << 20
)

// BenchmarkUpdateStick is BenchmarkUpdate on a device that the kernel slows down
// to a stick's speed.
func BenchmarkUpdateStick(b *testing.B) {
	u := newUpdateBench(b)
	u.enter = slowDown(b, u.device)
	var full, update float64
	for b.Loop() {
		full += u.timed(u.write...)
		u.run(u.old...)
		update += u.timed(append(u.write, "--update")...)
	}
	n := float64(b.N)
	b.ReportMetric(full/n, "s/full")
	b.ReportMetric(update/n, "s/update")
	b.ReportMetric(update/full, "of-full")
}

// slowDown makes a control group in which a device is as slow as a stick, and
// returns the command that runs another in it.
func slowDown(b *testing.B, device string) []string {
	b.Helper()
	const hierarchy = "/sys/fs/cgroup/blkio"
	if _, err := os.Stat(hierarchy + "/blkio.throttle.io_serviced"); err != nil {
		b.Skipf("needs the blkio controller of cgroup v1: %v", err)
	}
	group, err := os.MkdirTemp(hierarchy, "mkimage-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.Remove(group) })
	number, err := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(device), "dev"))
	if err != nil {
		b.Fatal(err)
	}
	for file, rate := range map[string]int{"read": stickReads, "write": stickWrites} {
		name := filepath.Join(group, "blkio.throttle."+file+"_bps_device")
		if err := os.WriteFile(name, fmt.Appendf(nil, "%s %d", strings.TrimSpace(string(number)), rate), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return []string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(group, "cgroup.procs")}
}
