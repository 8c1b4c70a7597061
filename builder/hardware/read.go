package hardware

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

const fstabPath = "etc/fstab"

// topLevel is the id of the top level subvolume.
const topLevel = 5

// maxFstab bounds an fstab that is read, in bytes.
const maxFstab = 1 << 20

// Read finds out what there is to know of the disk of size bytes behind r, or
// of the btrfs file system that begins with it. The mounts are those of
// /etc/fstab in the root subvolume, or of the manifest on the ESP where there
// is no such file; without either it fails with an error of class fault.Input.
//
// The root file system may be mounted and written to, if r reads past the page
// cache of its device: see reader.Retry.
func Read(ctx context.Context, r io.ReaderAt, size int64) (*Hardware, error) {
	var d *disk
	err := reader.Retry(func() (*reader.FS, error) {
		d = &disk{r: r, out: &Hardware{}}
		err := d.read(ctx, size) // which opens root
		return d.root, err
	})
	if err != nil {
		return nil, err
	}
	return d.out, nil
}

func (d *disk) read(ctx context.Context, size int64) error {
	if err := d.open(size); err != nil {
		return err
	}
	d.readManifest()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.mounts(); err != nil {
		return err
	}
	if d.manifest != nil {
		d.out.Modules = d.manifest.Plan.Profile.Initramfs.Modules
	}
	d.swapfile()
	return ctx.Err()
}

// disk is a disk that is being read. What could not be opened is nil.
type disk struct {
	r        io.ReaderAt
	out      *Hardware
	esp      *espreader.FS
	root     *reader.FS
	top      *reader.Volume // of root
	rootPart *gpt.Partition // where root is; nil without a partition table
	manifest *manifest.Manifest
}

func (d *disk) unread(what string, err error) {
	d.out.Unread = append(d.out.Unread, fmt.Sprintf("%s: %v", what, err))
}

// open finds the file systems. That of the root is the first partition of its
// type that holds btrfs, or the only other partition that does.
func (d *disk) open(size int64) error {
	root, whole := reader.Open(d.r, size)
	if whole == nil {
		d.root = root
	} else if err := d.openTable(size, whole); err != nil {
		return err
	}
	var err error
	d.top, err = d.root.Subvolume("")
	return err
}

// openTable opens the partitions of a disk that is no btrfs file system, and
// why it is none.
func (d *disk) openTable(size int64, whole error) error {
	table, problems, err := gpt.Read(d.r, size)
	if errors.Is(err, gpt.ErrNone) {
		return fault.New(fault.Input, "name a disk, an image of one, or a btrfs file system", "%w, and no btrfs: %w", err, whole)
	} else if err != nil {
		return err
	}
	for _, p := range problems {
		d.unread(string(p.Part), errors.New(p.Text))
	}
	others := 0
	for i := range table.Partitions {
		p := &table.Partitions[i]
		fsys := d.partition(p)
		switch {
		case fsys == nil:
		case p.Type == plan.TypeRootX86_64:
			if d.root == nil || d.rootPart.Type != p.Type {
				d.root, d.rootPart = fsys, p
			}
		default:
			others++
			if d.root == nil {
				d.root, d.rootPart = fsys, p
			}
		}
	}
	switch {
	case d.root == nil:
		return fault.New(fault.Input, "", "no partition with a btrfs file system among %d", len(table.Partitions))
	case d.rootPart.Type != plan.TypeRootX86_64 && others > 1:
		return fault.New(fault.Input, "name the partition instead", "%d partitions with btrfs, and none of the type of a root", others)
	}
	return nil
}

// partition describes a partition, opens the first ESP, and returns the btrfs
// in any other, nil where there is none.
func (d *disk) partition(p *gpt.Partition) *reader.FS {
	out := Partition{Number: p.Number, PARTUUID: p.GUID.String(), Label: p.Label}
	defer func() { d.out.Partitions = append(d.out.Partitions, out) }()
	section := io.NewSectionReader(d.r, p.Start, p.Size)
	if p.Type == plan.TypeESP {
		fsys, err := espreader.Open(section, p.Size)
		if err != nil {
			d.unread(fmt.Sprintf("partition %d", p.Number), err)
			return nil
		}
		out.FSType, out.FSID, out.FSLabel = "vfat", fsys.UUID(), fsys.Label()
		if d.esp == nil {
			d.esp = fsys
		}
		return nil
	}
	fsys, err := reader.Open(section, p.Size)
	if err != nil {
		if p.Type == plan.TypeRootX86_64 {
			d.unread(fmt.Sprintf("partition %d", p.Number), err)
		}
		return nil
	}
	super := fsys.Super()
	out.FSType, out.FSID, out.FSLabel = "btrfs", ids.UUID(super.FSID).String(), super.Label
	return fsys
}

// readManifest reads the manifest on the ESP. A disk of somebody else has none.
func (d *disk) readManifest() {
	if d.esp == nil {
		return
	}
	data, err := d.esp.ReadAtMost(manifest.ESPPath, manifest.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		d.manifest, err = manifest.Decode(data)
	}
	if err != nil {
		d.unread("/"+manifest.ESPPath, err)
	}
}

// mounts reads the fstab of the root subvolume, or what the manifest says
// should be mounted.
func (d *disk) mounts() error {
	name, err := d.rootSubvolume()
	if err != nil {
		return err
	}
	file := path.Join(name, fstabPath)
	text, err := d.readFstab(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.manifest != nil:
		p := d.manifest.Plan
		d.out.From, d.out.Mounts, d.out.Swaps = FromManifest, planMounts(p), planSwaps(p)
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.Input, "", "%s: is not there, and there is no manifest on an ESP", file)
	case err != nil:
		return err
	}
	d.out.From = FromFstab
	if d.out.Mounts, d.out.Swaps, err = parseFstab(text); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	d.addMemoryRoot()
	return nil
}

// readFstab reads the fstab of a subvolume, whose root a symlink must not lead
// out of.
func (d *disk) readFstab(subvolume string) (string, error) {
	v, err := d.root.Subvolume(subvolume)
	if err != nil {
		return "", err
	}
	info, err := v.Stat(fstabPath)
	if err != nil {
		return "", err
	}
	if info.Size() > maxFstab {
		return "", fault.New(fault.Input, "", "%s: %d bytes, expected at most %d", path.Join(subvolume, fstabPath), info.Size(), maxFstab)
	}
	text, err := v.ReadFile(fstabPath)
	return string(text), err
}

// addMemoryRoot adds the root in memory that an fstab has no line for, see
// Fstab.
func (d *disk) addMemoryRoot() {
	if d.manifest == nil || d.out.holder("/") != nil {
		return
	}
	for _, m := range planMounts(d.manifest.Plan) {
		if m.Target == "/" && m.Type == "tmpfs" {
			d.out.Mounts = append([]Mount{m}, d.out.Mounts...)
		}
	}
}

// rootSubvolume returns the path of the subvolume that / is: what the manifest
// says, or else the default subvolume if it has an fstab, or else the only
// writable one that has.
func (d *disk) rootSubvolume() (string, error) {
	if d.manifest != nil {
		for _, m := range d.manifest.Plan.Mounts {
			if m.Target == "/" {
				return m.Subvol, nil
			}
		}
	}
	list, err := d.root.Subvolumes()
	if err != nil {
		return "", err
	}
	id, err := d.root.DefaultSubvolume()
	if err != nil {
		return "", err
	}
	var found []string
	for _, s := range append([]reader.Subvolume{{ID: topLevel}}, list...) {
		v, err := d.root.VolumeByID(s.ID)
		if err != nil {
			return "", err
		}
		if _, err := v.Stat(fstabPath); err != nil || s.ReadOnly {
			continue
		}
		if s.ID == id {
			return s.Path, nil
		}
		found = append(found, s.Path)
	}
	if len(found) != 1 {
		return "", fault.New(fault.Input, "", "%d writable subvolumes have a file %s, and none of them is the default one", len(found), fstabPath)
	}
	return found[0], nil
}
