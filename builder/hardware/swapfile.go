package hardware

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/gpt/grow"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// swapfile looks for a swapfile of the root file system, and where it is.
func (d *disk) swapfile() {
	h := d.out
	for _, s := range h.Swaps {
		if !s.isSwapfile() {
			continue
		}
		target := path.Clean(s.What)
		m := h.holder(target)
		if m == nil || m.Type != "btrfs" || !d.isRoot(m.What) {
			continue
		}
		name, err := d.subvolumeOf(m)
		if err != nil {
			d.unread("swapfile "+target, err)
			continue
		}
		h.Swapfile = &Swapfile{Path: path.Join(name, strings.Trim(strings.TrimPrefix(target, m.Target), "/")), Target: target}
		d.locate(m.What)
		return
	}
}

// locate reads where the swapfile begins, and says whether the system
// hibernates to it: it does unless the manifest says otherwise.
func (d *disk) locate(device string) {
	s := d.out.Swapfile
	resume := &Resume{Device: device}
	if d.manifest == nil || hibernates(d.manifest.Plan) {
		d.out.Resume = resume
	}
	found, err := d.top.Swapfile(s.Path)
	if err != nil {
		d.out.Unread = append(d.out.Unread, err.Error())
		resume.Unknown = err.Error()
		return
	}
	s.Size, s.Fragments = found.Size, found.Fragments
	if d.firstBootAhead() {
		resume.Unknown = unknownFirstBoot
		return
	}
	resume.Offset = found.Offset
}

// firstBootAhead reports whether the swapfile is one that the first boot will
// put another in the place of.
func (d *disk) firstBootAhead() bool {
	if d.rootPart == nil || d.rootPart.Attributes>>grow.AttributeGrow&1 == 0 {
		return false
	}
	if d.manifest == nil {
		return true // nobody says that it will not
	}
	return slices.Contains(d.manifest.Plan.Profile.FirstBoot.Steps, config.StepSwapfile)
}

// isRoot reports whether a name of fstab stands for the root file system. A
// name of a device in /dev depends on the machine: it does when / has the same.
func (d *disk) isRoot(what string) bool {
	tag, value, _ := strings.Cut(what, "=")
	super := d.root.Super()
	switch tag {
	case "UUID":
		return strings.EqualFold(value, ids.UUID(super.FSID).String())
	case "LABEL":
		return value == super.Label
	case "PARTUUID":
		return d.rootPart == nil && d.sameAsRoot(what) || d.rootPart != nil && strings.EqualFold(value, d.rootPart.GUID.String())
	case "PARTLABEL":
		return d.rootPart == nil && d.sameAsRoot(what) || d.rootPart != nil && value == d.rootPart.Label
	}
	return d.sameAsRoot(what)
}

func (d *disk) sameAsRoot(what string) bool {
	root := d.out.holder("/")
	return root != nil && root.What == what
}

// subvolumeOf returns the path of the subvolume that a mount shows.
func (d *disk) subvolumeOf(m *Mount) (string, error) {
	if name, ok := option(m.Options, "subvol"); ok {
		return strings.Trim(name, "/"), nil
	}
	id, err := d.root.DefaultSubvolume()
	if text, ok := option(m.Options, "subvolid"); ok {
		id, err = strconv.ParseUint(text, 0, 64)
	}
	if err != nil || id == topLevel {
		return "", err
	}
	list, err := d.root.Subvolumes()
	if err != nil {
		return "", err
	}
	for _, s := range list {
		if s.ID == id {
			return s.Path, nil
		}
	}
	return "", fmt.Errorf("subvolume %d is not there", id)
}
