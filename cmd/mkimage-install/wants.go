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
	w := disks.WantsOf(p.Medium.Installer, p.Profile, p.Medium.Layout)
	w.Need = m.Need()
	return w
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
