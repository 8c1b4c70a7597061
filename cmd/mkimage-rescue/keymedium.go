package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
	"github.com/6FaNcY9/mkimage/installer/keymedium/writer"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/unlock"
)

// shortPassphrase is the length in bytes below which a passphrase is soon found by trying.
const shortPassphrase = 12

// makeMedium makes a key medium of a disk.
func (k *bringKey) makeMedium(ctx context.Context, d *desk, found *unlock.Found, made *broughtKey) error {
	disk, err := d.m.Disk(k.toMedium)
	if err != nil {
		return err
	}
	made.To, made.Outcome = disk.Path, "installed"
	if made.DryRun = k.dryRun; made.DryRun {
		d.p.note("will erase %s and make a key medium of it", disk)
		return d.p.tellKey(made)
	}
	sealed, err := d.p.seal(ctx, found.Key)
	if err != nil {
		return err
	}
	if err := d.unmountSystem(); err != nil {
		return err
	}
	medium := writer.Medium{File: config.KeyFileEncrypted, Data: sealed, Now: time.Now()}
	if err := writeMedium(ctx, *disk, &medium); err != nil {
		return err
	}
	return d.p.tellKey(made)
}

// allow refuses a disk that must not be erased, and asks where it is not empty.
func (k *bringKey) allow(ctx context.Context, d *desk) error {
	found, err := d.m.Disk(k.toMedium)
	if err != nil {
		return err
	}
	disk := *found
	on := func(p inventory.Place) bool { return p.Disk == disk.Path }
	switch {
	case slices.ContainsFunc(d.m.Inventory.Systems, func(s inventory.System) bool { return on(s.Root) }):
		return fault.New(fault.Target, "name a stick", "%s: has a system", disk)
	case slices.ContainsFunc(d.m.Inventory.Backups, func(b inventory.Backup) bool { return on(b.Place) }):
		return fault.New(fault.Target, "name a stick", "%s: has a backup", disk)
	case slices.ContainsFunc(d.m.Inventory.Media, func(m inventory.Medium) bool { return m.Disk == disk.Path }):
		return fault.New(fault.Target, "name another stick", "%s: is an installer medium", disk)
	}
	if slices.ContainsFunc(d.m.Inventory.KeyMedia, func(m inventory.KeyMedium) bool { return on(m.Place) }) {
		return fault.New(fault.Target, "name another stick, and keep this one until the new one is proven", "%s: has a key, which may be the only one", disk)
	}
	if disk.Hibernated() {
		return fault.New(fault.Target, "name a stick", "%s: a session sleeps on it", disk)
	}
	word := flash.Word(disk)
	if k.erase == "" && !k.dryRun && d.p.interactive() && !disk.Empty() {
		answer, err := d.p.ask(ctx, fmt.Sprintf("%s\nhas %s. To erase it, type this and Enter: erase %s\n> ", disk, disk.Summary(), word))
		if err != nil {
			return err
		}
		if answer != "erase "+word {
			return errDeclined
		}
		k.erase = word
	}
	consent := flash.Consent{Erase: k.erase}
	if k.erase == word {
		consent.Serial = word
	}
	against := flash.Refuse(disk, consent)
	if len(against) == 0 {
		return nil
	}
	hint := against[0].Hint
	if against[0].Flag != "" {
		hint = "--erase " + word
	}
	return fault.New(fault.Target, hint, "%s: %s", disk, against[0].What)
}

// seal encrypts a key with a passphrase that is typed twice.
func (p *program) seal(ctx context.Context, key *agekey.Key) ([]byte, error) {
	ask := p.askHidden()
	if ask == nil {
		return nil, fault.New(fault.Usage, "run it on a terminal", "nobody can be asked for a passphrase: standard input is no terminal")
	}
	first, err := ask(ctx, "New passphrase of the key: ")
	if err != nil {
		return nil, err
	}
	defer clear(first)
	second, err := ask(ctx, "The same again: ")
	if err != nil {
		return nil, err
	}
	defer clear(second)
	switch {
	case len(first) == 0:
		return nil, fault.New(fault.Input, "", "the passphrase is empty")
	case !bytes.Equal(first, second):
		return nil, fault.New(fault.Input, "begin again", "the two passphrases are not the same")
	case len(first) < shortPassphrase:
		p.note("the passphrase has %d bytes: whoever finds the key can try all of that length", len(first))
	}
	return agekey.Encrypt(key.Text(), first)
}

// writeMedium writes a key medium to the disk that the inventory has seen.
func writeMedium(ctx context.Context, d disks.Disk, m *writer.Medium) error {
	info, err := os.Stat(d.Path)
	if err != nil {
		return fault.New(fault.Target, "", "%w", err)
	}
	var to flash.Disk
	var file disks.OpenFile
	var closer io.Closer
	if info.Mode().IsRegular() {
		disk, f, err := flash.OpenFile(d.Path, os.O_RDWR)
		if err != nil {
			return err
		}
		to, file, closer = disk, f, f
		to.SectorSize = max(d.SectorSize, 512)
	} else {
		device, err := flash.OpenDevice(d.Path, false)
		if err != nil {
			return err
		}
		to, file, closer = device.Disk, device.File(), device
	}
	defer closer.Close()
	if err := (disks.Scanner{}).Check(disks.PinOf(d), file); err != nil {
		return err
	}
	return m.Write(ctx, d.Path, to, to.Size, to.SectorSize)
}
