package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/efivar"
)

// lastWords is how long the result is shown before the machine restarts, in
// seconds.
const lastWords = 5

// bootEntry puts the installed system first in the boot menu of the firmware.
// The fallback loader is in place: whatever fails here is only a note.
func (h *here) bootEntry(table gpt.Table) {
	h.show.begin("tell the firmware")
	vars, err := efivar.Open(efivar.Mount)
	if err == nil {
		esp := table.Partitions[0]
		err = vars.AddInstalled(efivar.Installed(h.medium.Manifest.Plan.Profile.Name, table, esp, h.present(esp.GUID)))
	}
	h.show.end(nil)
	if err != nil {
		h.show.note("boot entry: " + err.Error())
		h.show.note("The disk starts without it where the firmware looks for " + bls.FallbackPath + ".")
	}
}

// present returns the partitions of all disks, so that entries of disks that are
// not there now stay.
func (h *here) present(more ids.UUID) []ids.UUID {
	list := []ids.UUID{more}
	found, err := h.scanner.Scan(context.Background())
	if err != nil {
		return nil
	}
	for _, d := range found {
		for _, p := range d.Partitions {
			if id, err := ids.ParseUUID(p.GUID); err == nil {
				list = append(list, id)
			}
		}
	}
	return list
}

// restart ends the machine's time with the medium.
func (h *here) restart() error {
	verb, command := "restarts", unix.LINUX_REBOOT_CMD_RESTART
	if h.medium.Manifest.Plan.Medium.Installer.After == "poweroff" {
		verb, command = "is switched off", unix.LINUX_REBOOT_CMD_POWER_OFF
	}
	h.show.record.say("%s is installed; the machine %s", h.medium.Manifest.Plan.Profile.Name, verb)
	h.saveLog()
	for left := lastWords; left > 0; left-- {
		end := fmt.Sprintf("%s is installed. The machine %s in %d s; the medium can be taken out.", h.medium.Manifest.Plan.Profile.Name, verb, left)
		h.show.succeeded(append([]string{end}, h.show.notes()...)...)
		<-time.After(time.Second)
	}
	unix.Sync()
	return unix.Reboot(command)
}

// finished looks whether this medium has installed this disk already: then it is
// started, and nothing is erased. A medium that stays plugged in is met again
// after every installation.
func (h *here) finished(ctx context.Context) (bool, error) {
	marker, table, err := markerOf(h.disk.Path)
	if err != nil || marker == nil || marker.Medium != h.medium.Digest {
		return false, err
	}
	h.show.fact("done", fmt.Sprintf("this medium installed that disk on %s", marker.Time.UTC().Format(time.DateTime)))
	pressed, err := h.countdown(ctx, max(lastWords, h.medium.Manifest.Plan.Medium.Installer.Countdown), "Nothing is erased: the installed system is started")
	if err != nil {
		return true, err
	}
	if pressed {
		return false, h.again(ctx)
	}
	h.bootEntry(*table)
	return true, h.restart()
}

// again asks whether a disk that is installed is to be installed anew.
func (h *here) again(ctx context.Context) error {
	return h.ask(ctx, "this medium has installed that disk already")
}

// markerOf returns the marker on the ESP of a disk, nil where there is none. One that
// was not written to its end counts as none: that installation did not end either, and
// is done again.
func markerOf(path string) (*installer.Marker, *gpt.Table, error) {
	disk, err := rawdisk.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	defer disk.Close()
	marker, table, err := installer.ReadMarker(disk, disk.Size())
	if err != nil {
		return nil, nil, fault.New(fault.Target, "install by hand: mkimage-install --help", "%s: %w", path, err)
	}
	return marker, table, nil
}
