package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

func TestPrintResults(t *testing.T) {
	failure := &qemutests.Failure{
		Err: errors.New("system is \"degraded\":\nx.service failed"), Serial: []string{"one", "t\x1bwo"},
		SerialLog: "logs/nvme.serial", Screenshot: "logs/nvme-failure.png", Command: "qemu -x",
	}
	var results []checkResult
	for _, o := range []qemutests.Outcome{
		{Bus: qemutests.NVMe, Check: "boot", Seconds: 61.26},
		{Bus: qemutests.NVMe, Check: "hostname", Err: failure},
		{Bus: qemutests.NVMe, Check: "running", Seconds: 2, Err: fmt.Errorf("wrapped: %w", failure)},
		{Bus: qemutests.USB, Check: "esp", Err: errors.New("plain")},
	} {
		results = append(results, newCheckResult(o))
	}
	var b strings.Builder
	printResults(&b, results)
	want := `BUS   CHECK     RESULT  SECONDS
nvme  boot      ok      61.3
nvme  hostname  FAILED  0.0
nvme  running   FAILED  2.0
usb   esp       FAILED  0.0

hostname on nvme: system is "degraded":
x.service failed

running on nvme: system is "degraded":
x.service failed
  | one
  | "t\x1bwo"
console: logs/nvme.serial
screenshot: logs/nvme-failure.png
to start one like it: qemu -x

esp on usb: plain
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestVerdict(t *testing.T) {
	s := qemutests.Suite{Image: "fox.img"}
	if err := verdict(s, 0, 3); err != nil {
		t.Errorf("nothing failed: %v", err)
	}
	err := verdict(s, 1, 3)
	if fault.ClassOf(err) != fault.Mismatch || err.Error() != "fox.img: 1 of 3 checks failed" || !strings.Contains(fault.HintOf(err), "--keep DIR") {
		t.Errorf("one failed: %v (hint %q)", err, fault.HintOf(err))
	}
	s.Base.Keep = "logs"
	if hint := fault.HintOf(verdict(s, 1, 3)); hint != "" {
		t.Errorf("one failed, with --keep: hint %q; want none", hint)
	}
}
