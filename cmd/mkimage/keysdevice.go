package main

import (
	"context"
	"slices"

	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
	"github.com/6FaNcY9/mkimage/installer/keymedium/writer"
)

// mediumDevice is a whole disk that nobody else uses while it is open.
type mediumDevice struct{ *writeTarget }

// openDevice opens a disk to be written. It must be a whole one, unused, and
// removable and empty unless erase names it.
func openDevice(ctx context.Context, name, erase string) (mediumTarget, error) {
	t, err := openWriteTarget(ctx, name, 0, false)
	if err != nil {
		return nil, err
	}
	if found := append(refuseMedium(t.about, erase), t.found...); len(found) > 0 {
		t.close()
		return nil, refusal(t.about, found)
	}
	return mediumDevice{t}, nil
}

// refuseMedium returns all reasons not to make a key medium of a disk. One word
// is enough here: a key medium is small, and a disk that is no stick is seldom
// meant.
func refuseMedium(d disks.Disk, erase string) []flash.Finding {
	consent := flash.Consent{Erase: erase}
	if erase == flash.Word(d) {
		consent.Serial = erase
	}
	found := flash.Refuse(d, consent)
	flagged := false
	for i := range found {
		if found[i].Flag != "" && flagged {
			found[i].Flag = ""
		} else if found[i].Flag != "" {
			found[i].Flag, flagged = "--erase", true
		}
	}
	if erase != "" && consent.Serial == "" { // what is said of it already
		found = slices.DeleteFunc(found, func(f flash.Finding) bool { return f.Flag != "" })
	}
	return found
}

func (d mediumDevice) discard() { d.close() }

// write writes the medium, and lets go of the disk.
func (d mediumDevice) write(ctx context.Context, m *writer.Medium) (int64, error) {
	if err := m.Write(ctx, d.name, d.disk, d.disk.Size, d.disk.SectorSize); err != nil {
		return 0, err
	}
	d.finish()
	return d.disk.Size, nil
}
