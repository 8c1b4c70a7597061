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
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/bootmenu"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/durable"
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

// mount mounts payload and target.
func (k *keeping) mount() error {
	unmount, err := k.mountPayload()
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
