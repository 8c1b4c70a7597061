package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/uevent"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// How long disks may take.
const (
	mediumPatience = 60 * time.Second // for the medium, which the firmware has read already
	quiet          = 5 * time.Second  // without a change of the disks, before one is chosen
	patience       = 60 * time.Second // for the target
)

// here is an installation on the machine that was started from the medium.
type here struct {
	show    *display
	scanner disks.Scanner
	events  chan error // of disks: nil for a change, or what ended them
	device  disks.Disk // that the medium is
	medium  *installer.Medium
	disk    disks.Disk // the target
	keep    bool       // the home on it stays
	agreed  bool       // a person has typed that it may be erased

	logBefore []byte // the log of the medium as this run has found it
}

// installHere installs on this machine and restarts it.
func installHere(ctx context.Context) error {
	h := &here{events: make(chan error, 1), show: newDisplay()}
	defer h.show.close()
	stop, err := h.listen()
	if err != nil {
		return err
	}
	defer stop()
	err = h.run(ctx)
	if err != nil {
		h.show.failed(err)
		h.saveLog()
	}
	return err
}

// run is the installation, a step a line.
func (h *here) run(ctx context.Context) error {
	if err := h.step(ctx, "find the medium", h.findMedium); err != nil {
		return err
	}
	if err := h.step(ctx, "choose the disk", h.choose); err != nil {
		return err
	}
	if done, err := h.finished(ctx); done || err != nil {
		return err
	}
	if err := h.step(ctx, "check the medium", h.checkMedium); err != nil {
		return err
	}
	if err := h.step(ctx, "prove the recovery", h.prove); err != nil {
		return err
	}
	if err := h.consent(ctx); err != nil {
		return err
	}
	h.saveLog() // should the power fail, it says how far it came
	if h.keep {
		return h.keepHome(ctx)
	}
	return h.install(ctx)
}

// step runs a step that is not of package installer.
func (h *here) step(ctx context.Context, title string, do func(context.Context, func(done, total int64)) error) error {
	h.show.begin(title)
	err := do(ctx, func(done, total int64) { h.show.progress(done, total) })
	h.show.end(err)
	return err
}

// listen begins to listen for disks that come and go.
func (h *here) listen() (stop func(), err error) {
	l, err := uevent.Listen()
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			ev, err := l.Next()
			if errors.Is(err, uevent.ErrLost) {
				err = nil
			} else if err == nil && ev.Subsystem != "block" {
				continue
			}
			select {
			case h.events <- err:
			default: // one that waits says it already
			}
			if err != nil {
				return
			}
		}
	}()
	return l.Close, nil
}

// findMedium waits for the disk that the command line names the payload of.
func (h *here) findMedium(ctx context.Context, _ func(done, total int64)) error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	partuuid, err := payloadOf(string(line))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mediumPatience)
	defer cancel()
	for {
		list, err := h.scanner.Scan(ctx)
		if err != nil {
			return err
		}
		d, ready := withPartition(list, partuuid)
		if ready {
			return h.openMedium(d)
		}
		select {
		case err := <-h.events:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			if d.Path != "" {
				return fault.New(fault.Input, "plug it into another port", "medium: %s has the partition %s, and the kernel does not, %s after the start", d, partuuid, mediumPatience)
			}
			return fault.New(fault.Input, "plug it into another port", "medium: no disk has the partition %s, %s after the start", partuuid, mediumPatience)
		}
	}
}

// withPartition returns the disk that has a partition in its table. It is ready once the
// kernel has the partition, too: a disk is there a moment before those are.
func withPartition(list []disks.Disk, partuuid string) (d disks.Disk, ready bool) {
	for _, d := range list {
		for _, p := range d.Partitions {
			if strings.EqualFold(p.GUID, partuuid) {
				return d, p.Name != ""
			}
		}
	}
	return disks.Disk{}, false
}

// payloadOf returns the PARTUUID of the payload from the kernel's command line.
func payloadOf(line string) (string, error) {
	for _, word := range strings.Fields(line) {
		if id, ok := strings.CutPrefix(word, "root=PARTUUID="); ok && id != "" {
			return id, nil
		}
	}
	return "", fault.New(fault.Input, "start the medium by its own menu", "command line: no root=PARTUUID=, which names the payload")
}

func (h *here) openMedium(d disks.Disk) error {
	text, err := os.ReadFile(config.InstallKey)
	if err != nil {
		return fault.New(fault.Input, "build the medium with --sign-key KEY", "medium: %w", err)
	}
	key, err := signature.ParsePublic(text)
	if err != nil {
		return err
	}
	disk, err := rawdisk.Open(d.Path, os.O_RDONLY)
	if err != nil {
		return err
	}
	h.device = d
	medium, err := installer.OpenMedium(disk, disk.Size(), verifier(key))
	if err != nil {
		return errors.Join(err, disk.Close())
	}
	h.medium = medium
	h.show.title("mkimage: install " + h.medium.Manifest.Plan.Profile.Name)
	h.show.fact("from", fmt.Sprintf("%s, signed by %s", d, key.ID()))
	return nil
}

// choose waits for the one disk that the rules of the medium allow.
func (h *here) choose(ctx context.Context, _ func(done, total int64)) (err error) {
	w := wantsOf(h.medium)
	w.Medium = disks.Medium{Known: true, Diskseq: h.device.Diskseq, DiskGUID: h.device.DiskGUID}
	h.disk, err = disks.Settle(ctx, disks.Settling{Events: h.events, Scan: h.scanner.Scan, Quiet: quiet, Max: patience}, w)
	if err != nil {
		return err
	}
	h.show.fact(factTarget, h.disk.String())
	h.show.fact("has", h.disk.Summary())
	if h.keep, err = h.keeps(); err != nil {
		return err
	}
	if h.disk.Hibernated() && h.medium.Manifest.Plan.Medium.Installer.Hibernated != "drop" {
		return fault.New(fault.Target, `wake it and shut it down, or say hibernated = "drop" in [installer]`, "%s: a session sleeps on it, which would be lost", h.disk)
	}
	h.show.fact("because", "no other disk passes the rules of "+h.medium.Manifest.Plan.Medium.Name)
	return nil
}

func (h *here) checkMedium(ctx context.Context, progress func(done, total int64)) error {
	return h.medium.CheckPayload(ctx, progress)
}

// install writes the target, and restarts the machine.
func (h *here) install(ctx context.Context) (err error) {
	t, err := openTarget(h.scanner, h.disk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	seed, err := newSeed()
	if err != nil {
		return err
	}
	fresh, err := installer.PlanFresh(ctx, h.medium, t, seed, time.Now())
	if err != nil {
		return err
	}
	for _, s := range fresh.Steps() {
		h.show.plan(s.Title)
	}
	if err := h.runSteps(ctx, fresh.Steps()); err != nil {
		return err
	}
	if err := t.reread(); err != nil {
		h.show.note(err.Error())
	}
	h.bootEntry(fresh.Table)
	return h.restart()
}

// runSteps runs steps of an installation and shows how far they are.
func (h *here) runSteps(ctx context.Context, steps []installer.Step) error {
	err := installer.Run(ctx, steps, func(s installer.Step, done, total int64) {
		switch {
		case done == 0 && total == 0:
			h.show.begin(s.Title)
		case done == 1 && total == 1:
			h.show.end(nil)
		default:
			h.show.progress(done, total)
		}
	})
	if err != nil {
		h.show.end(err)
	}
	return err
}
