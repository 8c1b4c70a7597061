package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// basicData is the type of a partition that every system looks into
// (Microsoft basic data): the README on it is for whoever finds the stick.
const basicData = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"

// mediumLabel is the label of the file system; that of the partition, by which
// it is found, is too long for FAT by one letter.
const mediumLabel = "MKIMAGEKEYS"

// readmeText is on the medium beside the key.
const readmeText = `This is a key medium of mkimage.

The file %s beside this one holds the secret key of age with which a
machine decrypts its secrets. It is %s.

At its first boot the machine looks for a partition named MKIMAGE-KEYS, copies
the key and needs this medium no more. Take it out then and keep it where the
machine is not: it is also what brings the secrets back when the machine is lost.

To read the key elsewhere:
  %s
`

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
	m := &medium{file: config.KeyFileEncrypted, data: key.sealed, now: time.Now()}
	switch {
	case f.plain:
		m.file, m.data = config.KeyFile, key.Text()
	case m.data == nil:
		if m.data, err = f.seal(ctx, u, key.Key); err != nil {
			return err
		}
	}
	size, err := target.write(ctx, m)
	if err != nil {
		return err
	}
	made := madeMedium{name, size, m.file, !f.plain, key.Recipients()}
	return u.summary(made, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s, %s with the key of %s\n", printable(name), humanBytes(size), m.file, shortNames(made.Recipients))
		if f.plain {
			fmt.Fprintln(w, "The key is not encrypted: whoever holds the medium can read the secrets.")
		}
	})
}

// mediumTarget is what a medium is written to.
type mediumTarget interface {
	// write writes a medium, reads it back and returns its size in bytes.
	write(ctx context.Context, m *medium) (int64, error)
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

func (i *mediumImage) write(ctx context.Context, m *medium) (int64, error) {
	table, params, tree, err := m.plan(0, 512)
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
	if err := m.readBack(i.out.file, table.DiskSize); err != nil {
		return 0, err
	}
	return table.DiskSize, i.out.publish(table.DiskSize)
}

// syncedOutput is an output as package gpt wants its target. The file has its
// name only when all of it is on the disk.
type syncedOutput struct{ *output }

// Sync implements gpt.Target.
func (syncedOutput) Sync() error { return nil }

// medium is what is written.
type medium struct {
	file string // the name of the key's file
	data []byte // and what is in it
	now  time.Time
}

// plan decides where everything goes on a disk of so many bytes, 0 for the
// smallest. The partition is the smallest that is FAT32.
func (m *medium) plan(disk, sector int64) (gpt.Table, esp.Params, *fstree.Tree, error) {
	var seed ids.Seed
	if _, err := rand.Read(seed[:]); err != nil {
		return gpt.Table{}, esp.Params{}, nil, err
	}
	tree, err := m.tree()
	if err != nil {
		return gpt.Table{}, esp.Params{}, nil, err
	}
	params := esp.Params{SectorSize: sector, Start: gpt.Alignment, Label: mediumLabel, Serial: seed.Serial(ids.FATSerial) | 1, Timestamp: m.now}
	if params.Size, err = esp.MinSize(tree, params); err != nil {
		return gpt.Table{}, params, nil, err
	}
	kind, err := ids.ParseUUID(basicData)
	if err != nil {
		return gpt.Table{}, params, nil, err
	}
	table, err := gpt.Place(gpt.Table{GUID: seed.UUID(ids.Disk), SectorSize: sector, DiskSize: disk, Partitions: []gpt.Partition{
		{Type: kind, GUID: seed.UUID(ids.ESP), Label: config.KeyLabel, Start: params.Start, Size: params.Size},
	}})
	return table, params, tree, err
}

// tree returns the files of the medium.
func (m *medium) tree() (*fstree.Tree, error) {
	how, command := "encrypted with a passphrase", "age -d "+m.file
	if m.file == config.KeyFile {
		how, command = "NOT encrypted: whoever can read this can read the secrets", "cat "+m.file
	}
	readme := fmt.Appendf(nil, readmeText, m.file, how, command)
	readme = bytes.ReplaceAll(readme, []byte("\n"), []byte("\r\n")) // for editors of other systems
	tree := fstree.New()
	for name, data := range map[string][]byte{m.file: m.data, "README.txt": readme} {
		inode := &fstree.Inode{Mode: fstree.TypeRegular | 0o600, Size: int64(len(data)), Content: fstree.Bytes(data)}
		inode.SetMTime(m.now)
		if _, err := tree.Root().Add(name, inode); err != nil {
			return nil, err
		}
	}
	tree.Freeze()
	return tree, nil
}

// readBack reads a medium as a machine does and compares the key.
func (m *medium) readBack(r io.ReaderAt, size int64) error {
	table, problems, err := gpt.Read(r, size)
	if err != nil {
		return differs("%w", err)
	}
	if len(problems) > 0 {
		return differs("%s", problems[0])
	}
	if len(table.Partitions) != 1 || table.Partitions[0].Label != config.KeyLabel {
		return differs("%d partitions, expected one named %s", len(table.Partitions), config.KeyLabel)
	}
	p := table.Partitions[0]
	files, err := reader.Open(io.NewSectionReader(r, p.Start, p.Size), p.Size)
	if err != nil {
		return differs("%w", err)
	}
	data, err := files.ReadAtMost(m.file, int64(len(m.data))+1)
	if err != nil {
		return differs("%w", err)
	}
	if !bytes.Equal(data, m.data) {
		return differs("%s: is not what was written", m.file)
	}
	return nil
}

// differs says that a medium does not give back what was written to it.
func differs(format string, args ...any) error {
	return fault.New(fault.Mismatch, "the medium may be broken: use another one", "read back: %w", fmt.Errorf(format, args...))
}
