package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/keymedium/writer"
)

type keysMediumFlags struct {
	plain bool
	erase string
	keyFlags
}

func newKeysMedium(u *ui) *cobra.Command {
	var f keysMediumFlags
	cmd := &cobra.Command{
		Use:   "medium TARGET",
		Short: "write a key to a stick, or to an image of one, for a first boot to find",
		Long: `medium makes a key medium: a disk with one partition, MKIMAGE-KEYS, and in its FAT
file system the key and a README. TARGET is a file, which becomes an image of such
a disk and is replaced if it exists, or a whole block device, such as /dev/sdb.

The key is encrypted with a passphrase, which the machine then asks for at its
first boot. A --key that is encrypted stays as it is, once its passphrase has opened
it; another one gets a passphrase now. --plain leaves the key readable: whoever
holds the stick can read the secrets, but no keyboard is needed at the first boot.

A device that is mounted, swapped to or otherwise in use is refused, and so is one
that is not empty, or is neither on USB nor removable: then --erase must say what to
erase, by the serial number of the disk, or by its name (sdb) when it has no serial
number. The message shows both. Nothing is written before all of that is checked.

What was written is read back from the disk and compared.`,
		Example: `  mkimage keys medium keys.img --key fox.key
  mkimage keys medium /dev/sdb --key fox.key
  mkimage keys medium /dev/sdb --key fox.key.age --erase 4C530001230528116181`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Input, fault.Target, fault.Mismatch),
		RunE:        func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.plain, "plain", false, "do not encrypt the key on the medium")
	flags.StringVar(&f.erase, "erase", "", "erase a device that is not empty: its `SERIAL` number, or its name if it has none")
	f.define(cmd)
	return cmd
}

// madeMedium is what keys medium says.
type madeMedium struct {
	Target     string   `json:"target"`
	Size       int64    `json:"size"` // bytes of the image, or of the device
	File       string   `json:"file"` // on the medium
	Encrypted  bool     `json:"encrypted"`
	Recipients []string `json:"recipients"`
}

func (f *keysMediumFlags) run(ctx context.Context, u *ui, name string) error {
	target, err := f.open(ctx, name)
	if err != nil {
		return err
	}
	defer target.discard()
	key, err := f.read(ctx, u)
	if err != nil {
		return err
	}
	m := &writer.Medium{File: config.KeyFileEncrypted, Data: key.sealed, Now: time.Now()}
	switch {
	case f.plain:
		m.File, m.Data = config.KeyFile, key.Text()
	case m.Data == nil:
		if m.Data, err = f.seal(ctx, u, key.Key); err != nil {
			return err
		}
	}
	size, err := target.write(ctx, m)
	if err != nil {
		return err
	}
	made := madeMedium{name, size, m.File, !f.plain, key.Recipients()}
	return u.summary(made, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s, %s with the key of %s\n", printable(name), humanBytes(size), m.File, shortNames(made.Recipients))
		if f.plain {
			fmt.Fprintln(w, "The key is not encrypted: whoever holds the medium can read the secrets.")
		}
	})
}

// mediumTarget is what a medium is written to.
type mediumTarget interface {
	// write writes a medium, reads it back and returns its size in bytes.
	write(ctx context.Context, m *writer.Medium) (int64, error)
	// discard lets go of what was not written.
	discard()
}

// open opens a target and refuses what must not be written.
func (f *keysMediumFlags) open(ctx context.Context, name string) (mediumTarget, error) {
	if info, err := os.Stat(name); err == nil && info.Mode()&fs.ModeDevice != 0 {
		return openDevice(ctx, name, f.erase)
	}
	if f.erase != "" {
		return nil, fault.New(fault.Usage, "", "--erase: is for a device, and %s is none", name)
	}
	if err := checkOutput(name, "name a file in it"); err != nil {
		return nil, err
	}
	return &mediumImage{name: name}, nil
}

// mediumImage is a medium in a file.
type mediumImage struct {
	name string
	out  *output
}

func (i *mediumImage) discard() {
	if i.out != nil {
		_ = i.out.discard()
	}
}

func (i *mediumImage) write(ctx context.Context, m *writer.Medium) (int64, error) {
	table, params, tree, err := m.Plan(0, 512)
	if err != nil {
		return 0, err
	}
	if i.out, err = createOutput(i.name, table.DiskSize, modeSecret); err != nil {
		return 0, err
	}
	to := io.NewOffsetWriter(i.out, params.Start)
	if _, err := esp.Write(ctx, to, tree, params); err != nil {
		return 0, err
	}
	if err := gpt.Write(syncedOutput{i.out}, table); err != nil {
		return 0, err
	}
	if err := m.ReadBack(i.out.file, table.DiskSize); err != nil {
		return 0, err
	}
	return table.DiskSize, i.out.publish(table.DiskSize)
}

// syncedOutput is an output as package gpt wants its target. The file has its
// name only when all of it is on the disk.
type syncedOutput struct{ *output }

// Sync implements gpt.Target.
func (syncedOutput) Sync() error { return nil }
