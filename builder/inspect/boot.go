package inspect

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"

	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	ukireader "github.com/6FaNcY9/mkimage/builder/uki/reader"
)

// The most bytes of a file that are read into memory.
const (
	maxText    = 1 << 20
	maxProgram = 1 << 30
)

// The boot loaders that are told apart.
const (
	LoaderSystemdBoot = "systemd-boot"
	LoaderGRUB        = "grub"
	LoaderUKI         = "uki"
)

// Boot is what the firmware starts.
type Boot struct {
	Loader  string  `json:"loader"`  // LoaderSystemdBoot, LoaderGRUB, LoaderUKI, or "" for none that is known
	Timeout int     `json:"timeout"` // seconds that the menu waits, see bls.Conf
	Default string  `json:"default"` // a glob pattern for file names of entries; with GRUB, the ID of one
	Entries []Entry `json:"entries"` // in the order of the menu; one of a UKI
}

// Entry is a way to start Linux.
type Entry struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Version string `json:"version"` // of the kernel
	Options string `json:"options"`
	Linux   File   `json:"linux"`
	Initrd  []File `json:"initrd"`

	sortKey string
}

// File is a file of the ESP, or a section of a UKI.
type File struct {
	Path string `json:"path"`
	Size int64  `json:"size"` // -1 where it is not there
}

func emptyBoot() Boot { return Boot{Entries: []Entry{}} }

// ReadBoot tells what the firmware starts from an ESP, and what of that could not be
// read, as Image has both.
func ReadBoot(esp *espreader.FS) (boot Boot, unread []string) {
	i := &inspection{image: &Image{Boot: emptyBoot()}, esp: esp}
	_ = i.boot() // what it cannot read it takes note of
	return i.image.Boot, i.image.Unread
}

func (i *inspection) boot() error {
	if i.esp == nil {
		return nil
	}
	data, err := i.esp.ReadAtMost(bls.FallbackPath, maxProgram)
	if err != nil {
		i.unread("/"+bls.FallbackPath, err)
		return nil
	}
	p, err := ukireader.Open(bytes.NewReader(data), int64(len(data)))
	switch {
	case err != nil:
		i.unread("/"+bls.FallbackPath, err)
	case p.IsUKI():
		i.uki(p)
	case isGRUB(p):
		i.grub()
	default:
		i.menu()
	}
	return nil
}

// uki describes a unified kernel image as one entry.
func (i *inspection) uki(p *ukireader.Program) {
	text := func(name string) string {
		s, err := p.Text(name)
		if err != nil {
			i.unread("/"+bls.FallbackPath, err)
		}
		return s
	}
	size := func(name string) File {
		s, err := p.Section(name)
		if err != nil {
			return File{name, -1}
		}
		return File{name, s.Size()}
	}
	i.image.Boot.Loader = LoaderUKI
	i.image.Boot.Entries = append(i.image.Boot.Entries, Entry{
		ID: "/" + bls.FallbackPath, Title: prettyName(text(".osrel")), Version: text(".uname"), Options: text(".cmdline"),
		Linux: size(".linux"), Initrd: []File{size(".initrd")},
	})
}

// prettyName returns PRETTY_NAME of os-release(5), or NAME.
func prettyName(release string) string {
	found := map[string]string{}
	for line := range strings.Lines(release) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			found[key] = strings.Trim(value, `"'`)
		}
	}
	return cmp.Or(found["PRETTY_NAME"], found["NAME"])
}

// menu describes systemd-boot and its entries.
func (i *inspection) menu() {
	files, err := i.esp.ReadDir(bls.EntriesDir)
	if err != nil {
		i.unread("/"+bls.EntriesDir, err)
		return
	}
	b := &i.image.Boot
	b.Loader = LoaderSystemdBoot
	if text, err := i.esp.ReadAtMost(bls.ConfFile, maxText); err != nil {
		i.unread("/"+bls.ConfFile, err)
	} else if conf, err := bls.ParseConf(text); err != nil {
		i.unread("/"+bls.ConfFile, err)
	} else {
		b.Timeout, b.Default = conf.Timeout, conf.Default
	}
	for _, f := range files {
		id, ok := bls.ParseName(f.Name())
		if !ok || !f.Type().IsRegular() {
			continue
		}
		path := bls.EntriesDir + "/" + f.Name()
		text, err := i.esp.ReadAtMost(path, maxText)
		if err != nil {
			i.unread("/"+path, err)
			continue
		}
		e, err := bls.ParseEntry(text)
		if err != nil {
			i.unread("/"+path, err)
			continue
		}
		b.Entries = append(b.Entries, i.entry(id, e))
	}
	slices.SortStableFunc(b.Entries, func(x, y Entry) int { return cmp.Compare(x.sortKey, y.sortKey) })
}

func (i *inspection) entry(id string, e bls.Entry) Entry {
	out := Entry{ID: id, Title: e.Title, Version: e.Version, Options: e.Options, sortKey: e.SortKey, Linux: i.file(cmp.Or(e.Linux, e.EFI, e.UKI)), Initrd: []File{}}
	for _, p := range e.Initrd {
		out.Initrd = append(out.Initrd, i.file(p))
	}
	return out
}

func (i *inspection) file(path string) File {
	info, err := i.esp.Stat(strings.TrimPrefix(path, "/"))
	if err != nil {
		return File{path, -1}
	}
	return File{path, info.Size()}
}

// usedESP returns the bytes of the clusters of all files and directories.
func usedESP(f *espreader.FS) (used int64, err error) {
	entries := int64(0)
	err = fs.WalkDir(f, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// Directories that are linked across each other could go on for ever.
		if entries++; entries > 2*f.Clusters() {
			return errors.New("more files than clusters")
		}
		extents, err := f.Extents(path)
		for _, e := range extents {
			used += (e.Length + f.ClusterSize() - 1) / f.ClusterSize() * f.ClusterSize()
		}
		return err
	})
	return used, err
}

// origin reads the manifest on the ESP, for what the image was made from and
// where the swapfile is.
func (i *inspection) origin() error {
	if i.esp == nil {
		return nil
	}
	data, err := i.esp.ReadAtMost(manifest.ESPPath, manifest.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // an image of somebody else
	}
	if err != nil {
		i.unread("/"+manifest.ESPPath, err)
		return nil
	}
	m, err := manifest.Decode(data)
	if err != nil {
		i.unread("/"+manifest.ESPPath, err)
		return nil
	}
	p := m.Plan
	i.image.Origin = &Origin{Mkimage: m.Inputs.Mkimage, Profile: p.Name(), Layout: p.Layout.Name, Source: p.Profile.Source, Seed: p.Seed}
	if m.Swapfile != nil && i.root != nil {
		i.swapfile(m.Swapfile.Path)
	}
	return nil
}

// swapfile looks at the swapfile itself: the manifest tells only its name.
func (i *inspection) swapfile(path string) {
	top, err := i.root.Subvolume("")
	if err != nil {
		i.unread("swapfile "+path, err)
		return
	}
	s, err := top.Swapfile(path)
	if err != nil {
		i.unread("swapfile "+path, err)
		return
	}
	i.image.Swapfile = &Swapfile{path, s.Size, s.Offset, s.Signature}
}
