package main

import (
	"crypto/rand"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/profiles"
)

// wantsOf returns what the target of a medium must be, but for which disk the
// medium itself is.
func wantsOf(m *installer.Medium) disks.Wants {
	p := m.Manifest.Plan
	in := p.Medium.Installer
	return disks.Wants{
		Rules: in.Disk, Backup: backups(&p.Profile, in.Backup), Layout: disks.LayoutOf(p.Medium.Layout), Need: m.Need(), Erase: in.Erase,
	}
}

// backups are the disks that nobody erases: those that the system restores from
// and backs up to, and those that the medium names.
func backups(p *profiles.Profile, more []string) []string {
	list := slices.Clone(more)
	if p.Restore.Disk != "" {
		list = append(list, p.Restore.Disk)
	}
	for _, b := range p.Backup {
		if b.Disk != "" {
			list = append(list, b.Disk)
		}
	}
	return list
}

// newSeed returns the source of the identities of one installation.
func newSeed() (seed ids.Seed, err error) {
	_, err = rand.Read(seed[:])
	return seed, err
}

// madeFor reports whether a medium was made for this very machine or disk, so
// that nobody has to agree any more.
func madeFor(in *profiles.Installer, d disks.Disk, product, serial string) bool {
	if in.Unattended {
		return true
	}
	if d.Serial != "" && slices.ContainsFunc(in.Disk.Serial, func(s string) bool { return strings.EqualFold(s, d.Serial) }) {
		return true
	}
	return in.Machine != profiles.Machine{} && matches(in.Machine.Product, product) && matches(in.Machine.Serial, serial)
}

// matches compares what the firmware says with a pattern; "" is no pattern, and
// matches all.
func matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(text))
	return err == nil && ok
}
