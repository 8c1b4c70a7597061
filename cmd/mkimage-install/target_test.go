package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// TestOpenTarget opens disks that are not the chosen one any more.
func TestOpenTarget(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup")
	b := &bench{t: t, dir: t.TempDir()}
	file := b.file("disk.img", 8<<20, "")
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	scanner := disks.Scanner{Loop: true}
	for _, name := range []string{device, file} {
		chosen, err := scanner.One(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for what, change := range map[string]func(*disks.Disk){
			"":              func(*disks.Disk) {},
			"diskseq":       func(d *disks.Disk) { d.Diskseq++ },
			"serial number": func(d *disks.Disk) { d.Serial = "another" },
			"bytes":         func(d *disks.Disk) { d.Size += 512 },
		} {
			if name == file && (what == "diskseq" || what == "serial number") {
				continue
			}
			d := chosen
			change(&d)
			opened, err := openTarget(scanner, d)
			if err == nil {
				err = opened.close()
			}
			if (err == nil) != (what == "") || err != nil && (fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), what)) {
				t.Errorf("%s, another %s: %v", name, what, err)
			}
			if name == file {
				continue
			}
			k := &keeping{here: &here{scanner: scanner, disk: d}}
			if err := k.isChosen(); (err == nil) != (what == "") {
				t.Errorf("keep-home: %s, another %s: %v", name, what, err)
			}
		}
	}
}
