package gpt

import (
	"fmt"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Repair makes the copies of a table whole again: t and problems are what Read has
// found. What is whole is not written, as long as that can stay as it is, so that one
// whole copy is on the disk at every instant: of a damaged primary table the protective
// MBR and that copy are written, of a damaged MBR the MBR. A backup that is damaged, or
// not at the end of the disk, makes it a Write.
//
// The first sector is written as a whole: boot code that was in it is gone. Errors are
// those of Write.
func Repair(w Target, t Table, problems []Problem) error {
	has := func(part Part) bool {
		return slices.ContainsFunc(problems, func(p Problem) bool { return p.Part == part })
	}
	switch {
	case len(problems) == 0:
		return nil
	case has(PartBackup) && has(PartPrimary):
		return fault.New(fault.Input, "", "partition table: both copies are damaged, expected one that is whole")
	case has(PartBackup):
		return Write(w, t)
	}
	t.Partitions = slices.Clone(t.Partitions)
	t.number()
	if err := t.check(); err != nil {
		return fault.New(fault.Config, "", "partition table: %w", err)
	}
	parts, err := t.encode()
	if err != nil {
		return err
	}
	parts = slices.DeleteFunc(parts, func(p part) bool {
		primary := p.name == namePrimaryArray || p.name == namePrimaryHeader
		return p.name != nameMBR && (!primary || !has(PartPrimary))
	})
	return writeParts(w, parts)
}

// writeParts writes in order, and syncs after each.
func writeParts(w Target, parts []part) error {
	for _, p := range parts {
		if _, err := w.WriteAt(p.bytes, p.offset); err != nil {
			return fmt.Errorf("partition table: %s: %w", p.name, err)
		}
		if err := w.Sync(); err != nil {
			return fmt.Errorf("partition table: %s: %w", p.name, err)
		}
	}
	return nil
}
