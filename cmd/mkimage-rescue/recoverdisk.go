package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// openMedium finds the installer medium and checks its signature.
func (j *rescuing) openMedium() error {
	text, err := os.ReadFile(j.publicKey())
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, "--key FILE, or run it from a recovery stick", "key of the medium: there is no %s", j.publicKey())
	}
	if err != nil {
		return fault.New(fault.Input, "", "%w", err)
	}
	key, err := signature.ParsePublic(text)
	if err != nil {
		return err
	}
	if j.stickAt, err = j.mediumDisk(); err != nil {
		return err
	}
	disk, err := j.m.Open(j.stickAt, os.O_RDONLY)
	if err != nil {
		return err
	}
	j.p.after = append(j.p.after, disk.Close)
	j.stick, err = installer.OpenMedium(disk, disk.Size(), func(message, sig []byte) error {
		_, err := signature.Verify(key, message, sig)
		return err
	})
	return err
}

// mediumDisk returns the disk of the installer medium that is meant.
func (j *rescuing) mediumDisk() (string, error) {
	var found []string
	for _, m := range j.m.Inventory.Media {
		if j.medium == "" || m.Disk == j.medium {
			found = append(found, m.Disk)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fault.New(fault.Usage, "--medium "+strings.Join(found, ", or --medium "), "several installer media are there")
	}
	return "", fault.New(fault.Input, "plug in the stick that this was started from, wait a moment, and begin again", "no installer medium is on the disks of this machine")
}

// choose finds the disk: that which this medium has installed before, or else the one that
// its rules allow.
func (j *rescuing) choose() error {
	var installed []disks.Disk
	for _, d := range j.m.Inventory.Disks {
		has, err := j.installed(d)
		if err != nil {
			return err
		}
		if has && (j.to == "" || j.to == d.Path) {
			installed = append(installed, d)
		}
	}
	switch {
	case len(installed) > 1:
		var names []string
		for _, d := range installed {
			names = append(names, d.Path)
		}
		return fault.New(fault.Usage, "--to "+strings.Join(names, ", or --to "), "this medium has installed several disks")
	case len(installed) == 1:
		j.target, j.has = installed[0], true
		return nil
	}
	target, err := j.allowed()
	if err != nil {
		return err
	}
	if target.Hibernated() {
		return fault.New(fault.Target, machine.Wake, "%s: a session sleeps on it, which would be lost", target)
	}
	j.target = target
	return nil
}

// allowed returns the disk that the rules of the medium allow. What to type where there is
// none or another one is of this command: the rules are on the stick, and signed.
func (j *rescuing) allowed() (disks.Disk, error) {
	verdicts, err := disks.JudgeAll(j.candidates(), j.wants())
	if err != nil {
		return disks.Disk{}, err
	}
	target, err := disks.Only(verdicts)
	if err == nil {
		return target, nil
	}
	var ways []string
	for _, v := range verdicts {
		switch f, rejected := v.Rejected(); {
		case !rejected:
			ways = append(ways, "--to "+v.Disk.Path)
		case errors.Is(err, disks.ErrNone) && f.Rule == disks.RuleErasable:
			ways = append(ways, "--to "+v.Disk.Path+" --erase "+flash.Word(v.Disk))
		}
	}
	hint := strings.Join(ways, ", or ")
	if hint == "" {
		hint = "plug in a disk that these rules allow, or make the stick anew with others"
	}
	if len(verdicts) == 0 {
		hint = fault.HintOf(err)
	}
	return disks.Disk{}, fault.New(fault.Target, hint, "%w", err)
}

// installed reports whether this medium has installed a disk.
func (j *rescuing) installed(d disks.Disk) (bool, error) {
	if d.Path == j.stickAt || d.Problem != "" {
		return false, nil
	}
	disk, err := j.m.Open(d.Path, os.O_RDONLY)
	if err != nil {
		return false, nil // it is judged by the rules
	}
	defer disk.Close()
	marker, _, err := installer.ReadMarker(disk, disk.Size())
	if err != nil {
		return false, fault.New(fault.Target, "unplug it", "%s: %w", d.Path, err)
	}
	return marker != nil && marker.Medium == j.stick.Digest, nil
}

// candidates are the disks that are judged: with --to that alone, so that another one
// makes no choice of it.
func (j *rescuing) candidates() []disks.Disk {
	if j.to == "" {
		return j.m.Inventory.Disks
	}
	return slices.DeleteFunc(slices.Clone(j.m.Inventory.Disks), func(d disks.Disk) bool { return d.Path != j.to })
}

// wants is what the target must be: what the installer asks for. A disk with data may be
// erased by who names it.
func (j *rescuing) wants() disks.Wants {
	p := j.stick.Manifest.Plan
	w := disks.WantsOf(p.Medium.Installer, p.Profile, p.Medium.Layout)
	w.Need = j.stick.Need()
	stick := j.m.Inventory.Disks[slices.IndexFunc(j.m.Inventory.Disks, func(d disks.Disk) bool { return d.Path == j.stickAt })]
	w.Medium = disks.Medium{Known: true, Diskseq: stick.Diskseq, DiskGUID: stick.DiskGUID}
	if list := j.candidates(); len(list) == 1 && j.to != "" {
		w.Erase = w.Erase || j.erase == flash.Word(list[0])
	}
	return w
}

// lastLine is the last line of a text that is not empty.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return fmt.Sprintf("%q", lines[len(lines)-1])
}
