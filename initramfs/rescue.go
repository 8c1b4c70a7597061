package initramfs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cavaliergopher/cpio"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// RescueParams says what the archive of a rescue environment is made of.
type RescueParams struct {
	Payload  Params   // of the archive that is unpacked before
	Modules  []string // classes, which are the Class… names, and names of modules; none means RescueModules
	Firmware []string // patterns as in Params, besides what the modules name
	Files    []RescueFile
}

// RescueFile is a file of the archive besides modules and firmware.
type RescueFile struct {
	Part string // what its bytes are counted as
	Path string // absolute
	Mode uint32 // permission bits; of a symlink they are 0777
	// Content is the first of these that is set. Entry is a regular file of the tree.
	Link  string // target of a symlink
	Entry *fstree.Entry
	Data  []byte
}

// RescueArchive is the finished archive.
type RescueArchive struct {
	Data  []byte // a multiple of 4 bytes long
	Parts []Part // sorted by name
}

// Part is what one kind of content costs.
type Part struct {
	Name  string // that of files, or "kernel modules" or "firmware"
	Files int
	Bytes int64 // in memory
}

// Unpacked is what the archive takes in memory, in bytes.
func (a *RescueArchive) Unpacked() (bytes int64) {
	for _, p := range a.Parts {
		bytes += p.Bytes
	}
	return bytes
}

// The parts that this package adds itself.
const (
	partModules  = "kernel modules"
	partFirmware = "firmware"
)

// maxRescue bounds an archive in memory, in bytes. A machine with 1 GiB has half of it
// for files of a root file system in memory, of which the payload's own archive takes
// up to 100 MiB.
const maxRescue = 384 << 20

// Rescue makes the archive that the kernel of a medium unpacks over that of the payload
// for its rescue environment: files, and modules and firmware that the payload's archive
// lacks. The list of modules to be loaded takes the place of the payload's; what is
// loaded for a device alone is on the list at config.DeviceModules. Its bytes depend on p
// alone. Errors about what the source holds, and of more than fits into memory, are of
// class fault.Input.
func Rescue(ctx context.Context, p RescueParams) (*RescueArchive, error) {
	a, err := rescue(ctx, p, maxRescue)
	if err != nil {
		return nil, fmt.Errorf("archive of the rescue environment: %w", err)
	}
	return a, nil
}

func rescue(ctx context.Context, p RescueParams, most int64) (*RescueArchive, error) {
	c := newContents()
	a := &RescueArchive{}
	for _, f := range p.Files {
		if err := c.addRescueFile(f); err != nil {
			return nil, err
		}
		a.count(f.Part, int64(len(c.records[strings.TrimPrefix(f.Path, "/")].data)))
	}
	if err := a.addModules(ctx, c, p); err != nil {
		return nil, err
	}
	slices.SortFunc(a.Parts, func(a, b Part) int { return strings.Compare(a.Name, b.Name) })
	if n := a.Unpacked(); n > most {
		var parts []string
		for _, part := range a.Parts {
			parts = append(parts, fmt.Sprintf("%s %d", part.Name, part.Bytes))
		}
		return nil, input("name fewer in rescue.modules, rescue.firmware or rescue.programs of the profile",
			"%d bytes in memory, expected at most %d, so that 1 GiB of memory is enough: %s", n, most, strings.Join(parts, ", "))
	}
	data, err := c.compressed()
	if err != nil {
		return nil, err
	}
	whole := &Archive{}
	whole.append("rescue", data)
	a.Data = whole.Data
	return a, nil
}

// count adds a file to a part.
func (a *RescueArchive) count(part string, bytes int64) {
	i := slices.IndexFunc(a.Parts, func(p Part) bool { return p.Name == part })
	if i < 0 {
		i, a.Parts = len(a.Parts), append(a.Parts, Part{Name: part})
	}
	a.Parts[i].Files++
	a.Parts[i].Bytes += bytes
}

// addRescueFile adds a file that the caller names.
func (c *contents) addRescueFile(f RescueFile) error {
	name, absolute := strings.CutPrefix(f.Path, "/")
	if !absolute || !isLocal(name) || name == "." {
		return fmt.Errorf("file %q: expected an absolute path", f.Path)
	}
	if _, taken := c.records[name]; taken {
		return fmt.Errorf("file %s: is there twice", f.Path)
	}
	switch {
	case f.Link != "":
		c.addSymlink(name, f.Link)
		return nil
	case f.Entry != nil:
		data, err := readEntry(f.Entry, maxFile)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Entry.Path(), err)
		}
		f.Data = data
	}
	c.addFile(name, cpio.FileMode(f.Mode)&0o777, f.Data)
	return nil
}

// addModules adds the modules that the payload's archive lacks, with their firmware, and
// the lists.
func (a *RescueArchive) addModules(ctx context.Context, c *contents, p RescueParams) error {
	x, err := openIndex(p.Payload.Root, p.Payload.Kernel, p.Payload.ModuleDir)
	if err != nil {
		return err
	}
	chosen, err := x.choose(p.Modules)
	if err != nil {
		return err
	}
	own := p.Payload
	there, err := own.order(x)
	if err != nil {
		return err
	}
	own.Modules = slices.Concat(own.Modules, chosen.start)
	start, err := own.order(x)
	if err != nil {
		return err
	}
	own.Modules = slices.Concat(own.Modules, chosen.devices)
	all, err := own.order(x)
	if err != nil {
		return err
	}
	aliases, err := x.aliasesOf(all)
	if err != nil {
		return err
	}
	c.addFile(config.Modules[1:], 0o644, own.list(start))
	c.addFile(config.DeviceModules[1:], 0o644, own.list(all))
	c.addFile(config.DeviceAliases[1:], 0o644, []byte(aliases))
	modules, err := x.load(ctx, slices.DeleteFunc(all, func(m ordered) bool {
		return slices.ContainsFunc(there, func(o ordered) bool { return o.name == m.name })
	}))
	if err != nil {
		return err
	}
	for _, m := range modules {
		c.addFile(own.modulePath(m.moduleFile), 0o644, m.data)
		a.count(partModules, int64(len(m.data)))
	}
	own.Firmware = p.Firmware
	return a.addFirmware(c, own, modules)
}

// addFirmware adds what modules name and what the patterns of p match.
func (a *RescueArchive) addFirmware(c *contents, p Params, modules []loaded) error {
	made := &Archive{}
	if err := made.addFirmware(c, p, modules); err != nil {
		return err
	}
	for _, f := range made.Firmware {
		a.count(partFirmware, int64(len(c.records[f[1:]].data)))
	}
	return nil
}
