package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/beside"
	"github.com/6FaNcY9/mkimage/installer/bootmenu"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/keephome"
)

// Where the target is mounted while a system is put beside the old one.
const (
	targetDir = "/run/mkimage/target" // the top level of its file system
	espDir    = "/run/mkimage/esp"
)

// Modes of an installation, as profiles call them.
const (
	modeKeepHome = "keep-home"
	modeFresh    = "fresh"
)

// keeps reports whether the home on the target is kept. Of a disk that has the
// payload's layout it is, unless the profile wants a fresh one.
func (h *here) keeps() (bool, error) {
	mode := h.medium.Manifest.Plan.Medium.Installer.Mode
	ours := wantsOf(h.medium).Layout.On(h.disk)
	switch {
	case mode == modeFresh:
		return false, nil
	case mode == modeKeepHome && !ours:
		return false, fault.New(fault.Target, `mode = "fresh" in [installer] erases a disk`, "%s: does not have the layout whose home is to be kept: it has %s", h.disk, h.disk.Summary())
	}
	return ours, nil
}

// keeping is an installation beside the system that a disk has.
type keeping struct {
	*here
	id     string // of the installation, in names of subvolumes
	plan   *plan.Plan
	unmake []func() error // unmounts, the last first
}

// newKeeping plans the installation: the disk keeps its identity.
func (h *here) newKeeping() (*keeping, error) {
	seed, err := newSeed()
	if err != nil {
		return nil, err
	}
	p, err := plan.Target(h.medium.Manifest.Plan, seed, 0)
	if err != nil {
		return nil, err
	}
	identity, err := identityOf(h.disk)
	if err != nil {
		return nil, err
	}
	return &keeping{here: h, id: hex.EncodeToString(seed[:4]), plan: plan.Adopt(p, identity)}, nil
}

// identityOf returns what a disk with the payload's layout is known by.
func identityOf(d disks.Disk) (id plan.Identity, err error) {
	if len(d.Partitions) != 2 {
		return id, fmt.Errorf("%s: %d partitions, expected two", d.Path, len(d.Partitions))
	}
	esp, root := d.Partitions[0], d.Partitions[1]
	id.SectorSize = d.SectorSize
	for _, u := range []struct {
		text string
		to   *ids.UUID
	}{{d.DiskGUID, &id.Disk}, {esp.GUID, &id.ESP}, {root.GUID, &id.Root}} {
		if *u.to, err = ids.ParseUUID(u.text); err != nil {
			return id, err
		}
	}
	id.ESPSerial, id.BtrfsFSID = uuidOf(esp, "vfat"), uuidOf(root, "btrfs")
	return id, nil
}

func uuidOf(p disks.Partition, kind string) string {
	for _, c := range p.Contents {
		if c.Type == kind {
			return c.UUID
		}
	}
	return ""
}

// mountChosen mounts what was chosen, and nothing else: names move. What has the
// name before and after the mount, with one diskseq, has had it in between.
func (k *keeping) mountChosen(ctx context.Context) error {
	if err := k.isChosen(); err != nil {
		return err
	}
	if err := k.mount(ctx); err != nil {
		return err
	}
	return k.isChosen()
}

// isChosen is an error unless the name of the target leads to the disk that was
// chosen.
func (k *keeping) isChosen() error {
	f, err := os.Open(k.disk.Path)
	if err != nil {
		return fault.New(fault.Target, "", "%w", err)
	}
	defer f.Close()
	return k.scanner.Check(disks.PinOf(k.disk), f)
}

// mount mounts payload and target.
func (k *keeping) mount(ctx context.Context) error {
	unmount, err := k.mountPayload(ctx)
	if err != nil {
		return err
	}
	k.unmake = append(k.unmake, unmount)
	root := "subvolid=5," + strings.Join(compression(k.plan.Layout.Root.Options), ",")
	for _, m := range []struct {
		partition         disks.Partition
		dir, kind, option string
	}{{k.disk.Partitions[1], targetDir, "btrfs", strings.TrimSuffix(root, ",")}, {k.disk.Partitions[0], espDir, "vfat", "umask=0077,quiet"}} {
		if err := os.MkdirAll(m.dir, 0o700); err != nil {
			return err
		}
		node := filepath.Join("/dev", m.partition.Name)
		if err := unix.Mount(node, m.dir, m.kind, unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOATIME, m.option); err != nil {
			return fmt.Errorf("mount %s: %w", node, err)
		}
		k.unmake = append(k.unmake, func() error { return unix.Unmount(m.dir, 0) })
	}
	return nil
}

// compression returns the options that say how what is written is compressed.
func compression(options []string) (list []string) {
	for _, o := range options {
		if strings.HasPrefix(o, "compress") {
			list = append(list, o)
		}
	}
	return list
}

func (k *keeping) unmount() (err error) {
	for i := len(k.unmake) - 1; i >= 0; i-- {
		err = errors.Join(err, k.unmake[i]())
	}
	k.unmake = nil
	return err
}

// commit changes the boot menu, from which moment on the new system is started.
func (k *keeping) commit(context.Context, func(done, total int64)) error {
	tree, err := loader.Installed(k.plan, k.medium.Manifest, k.medium.File)
	if err != nil {
		return err
	}
	esp := durable.OS(espDir)
	if err := bootmenu.Replace(esp, tree, k.id); err != nil {
		return err
	}
	marker, err := installer.Marker{
		Install: k.plan.Disk.GUID, Medium: k.medium.Digest, Profile: k.plan.Profile.Name, Mode: modeKeepHome, Time: time.Now(),
	}.Encode()
	if err != nil {
		return err
	}
	return durable.Write(esp, "/"+installer.MarkerPath, marker, 0o644)
}

// keepHome puts the system beside the one that the disk has, and has the boot
// menu start it.
func (h *here) keepHome(ctx context.Context) (err error) {
	k, err := h.newKeeping()
	if err != nil {
		return err
	}
	if err := k.mountChosen(ctx); err != nil {
		return errors.Join(err, k.unmount())
	}
	defer func() { err = errors.Join(err, k.unmount()) }()
	if err := k.discard(); err != nil {
		return err
	}
	in := &keephome.Install{
		Top: targetDir, Payload: payloadDir, Plan: k.plan, ID: k.id, Keep: h.medium.Manifest.Plan.Medium.Installer.Keep,
		Note: h.show.note,
	}
	plain := func(do func() error) func(context.Context, func(done, total int64)) error {
		return func(context.Context, func(done, total int64)) error { return do() }
	}
	steps := []installer.Step{
		{ID: "stage", Title: "copy the system", Run: in.Stage},
		{ID: "fstab", Title: "name the partitions", Run: plain(k.fstab(in))},
		{ID: "factory", Title: "take the factory snapshots", Run: plain(in.Factory)},
		{ID: "carry", Title: "carry over what is kept", Run: plain(func() error { return in.Carry(ctx, time.Now()) })},
		{ID: "seal", Title: "read everything back", Run: in.Seal},
		{ID: "menu", Title: "change the boot menu", Run: k.commit},
		{ID: "expire", Title: "remove what was before that", Run: plain(k.expire)},
	}
	for _, s := range steps {
		h.show.plan(s.Title)
	}
	if err := h.runSteps(ctx, steps); err != nil {
		return err
	}
	table, err := k.table()
	if err != nil {
		return err
	}
	if err := k.unmount(); err != nil {
		return err
	}
	h.bootEntry(*table)
	return h.restart()
}

// discard removes what an installation has left that did not come to its end. One
// that has changed the boot menu is the system that would be started: it takes its
// place first, as it would when it is started.
func (k *keeping) discard() error {
	list, err := keephome.List(targetDir)
	if err != nil {
		return err
	}
	for _, b := range list {
		switch started, err := bootmenu.Starts(durable.OS(espDir), b.ID); {
		case err != nil:
			return err
		case len(b.New) == 0:
		case started:
			if err := switchTo(b.ID); err != nil {
				return err
			}
		default:
			if err := keephome.Discard(targetDir, b.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// switchTo has the system of an installation take the place of the one before.
func switchTo(id string) error {
	entries, err := os.ReadDir(targetDir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return beside.Switch(beside.Mounted(targetDir), names, id)
}

// expire removes the systems before the one that is replaced now: the menu has
// one entry for what was there before.
func (k *keeping) expire() error {
	list, err := keephome.List(targetDir)
	if err != nil {
		return err
	}
	for _, b := range list {
		if b.ID == k.id || len(b.Old) == 0 {
			continue
		}
		if err := keephome.Expire(targetDir, b.ID); err != nil {
			return err
		}
	}
	return nil
}

// fstab has the new system mount the partitions that the disk has. A NixOS finds them by
// their labels.
func (k *keeping) fstab(in *keephome.Install) func() error {
	if k.medium.Manifest.NixOS() {
		return func() error { return nil }
	}
	was, is := k.medium.Manifest.Plan, k.plan
	texts := map[string]string{}
	for _, role := range []string{plan.RoleESP, plan.RoleRoot} {
		texts[was.Partition(role).PARTUUID.String()] = is.Partition(role).PARTUUID.String()
	}
	return func() error { return in.Fstab(texts) }
}

// table returns the table that the disk has.
func (k *keeping) table() (*gpt.Table, error) {
	disk, err := rawdisk.Open(k.disk.Path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	table, _, err := gpt.Read(disk, disk.Size())
	return table, err
}
