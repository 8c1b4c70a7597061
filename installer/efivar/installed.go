package efivar

import (
	"errors"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

// Installed is the entry of a system that mkimage has installed from a profile: it starts
// by the fallback loader of its EFI system partition, which is one of a table. present are
// the partitions of all disks.
func Installed(profile string, table gpt.Table, esp gpt.Partition, present []ids.UUID) Entry {
	return Entry{
		Description: "mkimage " + profile,
		Partition: Partition{
			Number: uint32(esp.Number), Start: uint64(esp.Start / table.SectorSize), Size: uint64(esp.Size / table.SectorSize), GUID: esp.GUID,
		},
		Path: bls.FallbackPath, Present: present,
	}
}

// AddInstalled makes the entry of a system that was installed just now the first of the
// boot menu, and that of the next start. A session that slept on its disk is gone, and is
// not looked for any more.
func (v *Vars) AddInstalled(e Entry) error {
	e.Next = true
	_, err := v.AddEntry(e)
	if gone := v.ClearHibernateLocation(); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
