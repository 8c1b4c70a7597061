package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/preflight"
	"github.com/6FaNcY9/mkimage/profiles"
)

// payloadDir is where the payload is mounted, read-only.
const payloadDir = "/run/mkimage/payload"

// prove has all that an installation rests on be true before anything is erased:
// this machine, the disk, and that key and backup can be used.
func (h *here) prove(ctx context.Context, _ func(done, total int64)) error {
	p := h.medium.Manifest.Plan
	facts, err := preflight.ReadFacts("/sys", "/proc")
	if err != nil {
		return err
	}
	root := h.medium.Manifest.Partition(plan.RoleRoot)
	facts.TargetSize, facts.SectorSize, facts.Clock = h.disk.Size, h.disk.SectorSize, time.Now()
	facts.PayloadSize, facts.PayloadUsed = root.Size, root.Used
	list := preflight.Check(p, facts)
	recovery, err := h.recovery(ctx, facts)
	if err != nil {
		return err
	}
	list = append(list, recovery...)
	preflight.Waive(list, p.Medium.Installer.Missing)
	for _, f := range list {
		if !f.OK && !f.Stops() {
			h.show.note(f.Name + ": " + f.Text)
		}
	}
	return preflight.Refused(list)
}

// recovery proves that the installed system will get its secrets and its home.
// The payload's own program does it, with what is plugged in.
func (h *here) recovery(ctx context.Context, facts preflight.Facts) (_ []preflight.Finding, err error) {
	p := h.medium.Manifest.Plan
	if len(p.Profile.Secrets) == 0 && (p.Profile.Restore == profiles.Restore{}) {
		return nil, nil
	}
	unmount, err := h.mountPayload(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unmount()) }()
	list, err := h.scanner.Scan(ctx)
	if err != nil {
		return nil, err
	}
	r := preflight.Recovery{Plan: p, Tree: preflight.TreeOf(p, payloadDir)}
	if r.Program, err = existing(r.Tree.Programs()); err != nil {
		return nil, err
	}
	key, why, err := h.key(ctx, list)
	defer clear(key)
	if err != nil {
		return nil, err
	}
	r.Key = key
	if disk := p.Profile.Restore.Disk; disk != "" {
		r.Backup, _ = preflight.FindBackup(list, disk) // the program says what it misses
	}
	if need, err := preflight.NeedOf(p, facts); err == nil {
		r.Space = facts.TargetSize - need.Total + need.Free
	}
	findings, err := preflight.Prove(ctx, r)
	if key == nil {
		preflight.WithoutKey(findings, why)
	}
	return findings, err
}

// key returns the key of a key medium, after its passphrase where it has one; nil
// with the reason where there is none that can be used.
func (h *here) key(ctx context.Context, list []disks.Disk) (text []byte, why string, err error) {
	text, encrypted, from, err := preflight.FindKey(list, func(name string) (disks.Node, error) { return rawdisk.Open(name, os.O_RDONLY) })
	if err != nil {
		return nil, err.Error(), nil
	}
	if !encrypted {
		return text, "", nil
	}
	defer clear(text)
	p := passphrase{show: h.show, patience: keyPatience, where: from, open: opener(text, memAvailable)}
	if t := h.medium.Manifest.Plan.Profile.Age.Timeout; t > 0 {
		p.patience = time.Duration(t) * time.Second
	}
	if text, why, err = p.ask(ctx); text == nil {
		why = from + ": " + why
	}
	return text, why, err
}

func memAvailable() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return firstboot.MemAvailable(string(text))
}

// existing returns the first file that is there.
func existing(names []string) (string, error) {
	for _, name := range names {
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	return "", fault.New(fault.Input, "build the medium again", "medium: its payload has no %s", strings.Join(names, ", and no "))
}

// mountPayload mounts the top level of the payload, which was compared with the
// manifest before.
func (h *here) mountPayload(ctx context.Context) (unmount func() error, err error) {
	node, err := h.payloadNode(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(payloadDir, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount(node, payloadDir, "btrfs", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, "subvolid=5"); err != nil {
		return nil, fmt.Errorf("mount %s: %w", node, err)
	}
	return func() error { return unix.Unmount(payloadDir, 0) }, nil
}

// payloadNode returns the node of the payload's partition. The kernel shows a disk a moment
// before its partitions, and the medium may have been found in that moment.
func (h *here) payloadNode(ctx context.Context) (string, error) {
	want := h.medium.Manifest.Plan.Partition(plan.RoleRoot).PARTUUID.String()
	ctx, cancel := context.WithTimeout(ctx, mediumPatience)
	defer cancel()
	for {
		d, err := h.scanner.One(ctx, h.device.Path)
		if err != nil {
			return "", err
		}
		if disks.PinOf(d) != disks.PinOf(h.device) {
			return "", fault.New(fault.Target, "plug it in again and restart", "medium: %s is another disk by now", d)
		}
		if node := nodeOf(d, want); node != "" {
			return node, nil
		}
		select {
		case err := <-h.events:
			if err != nil {
				return "", err
			}
		case <-ctx.Done():
			return "", fault.New(fault.Input, "plug it into another port, or write it again", "medium: the kernel has no partition %s, %s after it was asked for", want, mediumPatience)
		}
	}
}

// nodeOf returns the node of a disk's partition, "" while the kernel has none.
func nodeOf(d disks.Disk, partuuid string) string {
	for _, p := range d.Partitions {
		if strings.EqualFold(p.GUID, partuuid) && p.Name != "" {
			return filepath.Join(filepath.Dir(d.Path), p.Name)
		}
	}
	return ""
}
