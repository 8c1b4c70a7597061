package bootrepair

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// The names of identities that nobody remembers and that are made anew.
const (
	nameDisk = "repair disk"
	nameESP  = "repair esp"
	nameRoot = "repair root"
	nameFAT  = "repair fat"
)

// maxEntry bounds an entry of the menu, in bytes.
const maxEntry = 64 << 10

// names is by what a system knows its partitions.
type names struct {
	esp, root           ids.UUID // PARTUUIDs
	espLabel, rootLabel string   // PARTLABELs
	notes               []string
}

// namesOf returns the names that the table of mounts of a system has for its partitions,
// and what it does not say as the entries of the boot menu have it, or else anew.
func namesOf(s *system, esp *espreader.FS, root FileSystem, seed ids.Seed) names {
	n := names{rootLabel: root.Label}
	for _, l := range s.table {
		switch {
		case l.Type == kindBtrfs && n.root.IsZero(): // all are of one file system
			n.take(l.What, &n.root, &n.rootLabel)
		case isESP(l):
			n.take(l.What, &n.esp, &n.espLabel)
		}
	}
	named := namedByEntries(esp)
	switch {
	case n.root.IsZero() && len(named) == 1:
		n.root = named[0]
	case !n.root.IsZero() && len(named) > 0 && !slices.Contains(named, n.root):
		n.note("the entries of the boot menu name PARTUUID %s, /%s names %s, which is what the partition gets", named[0], fstabName, n.root)
	case n.root.IsZero() && len(named) > 1:
		n.note("the entries of the boot menu name %d partitions as the root, none of which is known to be this one", len(named))
	}
	for _, u := range []struct {
		id   *ids.UUID
		name string
		what string
	}{{&n.root, nameRoot, "root partition"}, {&n.esp, nameESP, "ESP"}} {
		if u.id.IsZero() {
			*u.id = seed.UUID(u.name)
			n.note("nothing on the disk says what PARTUUID the %s had: it gets a new one", u.what)
		}
	}
	if n.espLabel == "" && esp != nil {
		n.espLabel = esp.Label()
	}
	return n
}

func (n *names) note(format string, args ...any) {
	n.notes = append(n.notes, fmt.Sprintf(format, args...))
}

// take takes a name of a table of mounts.
func (n *names) take(what string, id *ids.UUID, label *string) {
	switch tag, value, _ := fstab.ParseDevice(what); tag {
	case fstab.PARTUUID:
		if u, err := ids.ParseUUID(value); err == nil {
			*id = u
		}
	case fstab.PARTLABEL:
		*label = value
	case fstab.Label: // both are one in our layouts
		if *label == "" {
			*label = value
		}
	}
}

// isESP reports whether a line mounts an ESP.
func isESP(l fstab.Line) bool {
	return l.Type == kindFAT && slices.Contains([]string{"/boot", "/efi", "/boot/efi"}, l.Target)
}

// namedByEntries returns the PARTUUIDs that entries of the menu have as the root.
func namedByEntries(esp *espreader.FS) (named []ids.UUID) {
	if esp == nil {
		return nil
	}
	for _, e := range readEntries(esp) {
		if id, ok := rootOf(e.Entry); ok && !slices.Contains(named, id) {
			named = append(named, id)
		}
	}
	return named
}

// rootOf returns the PARTUUID that an entry has as the root.
func rootOf(e bls.Entry) (id ids.UUID, ok bool) {
	for word := range strings.FieldsSeq(e.Options) {
		for _, key := range []string{"root", plan.RootKey} {
			text, is := strings.CutPrefix(word, key+"=PARTUUID=")
			if !is {
				continue
			}
			if u, err := ids.ParseUUID(text); err == nil {
				id, ok = u, true
			}
		}
	}
	return id, ok
}

// readEntries returns the entries of type #1 on an ESP that can be read.
func readEntries(esp fs.ReadDirFS) (list []bls.Named) {
	files, err := esp.ReadDir(bls.EntriesDir)
	if err != nil {
		return nil
	}
	for _, f := range files {
		if f.IsDir() || !strings.HasSuffix(f.Name(), ".conf") {
			continue
		}
		text, err := readAtMost(esp, path.Join(bls.EntriesDir, f.Name()), maxEntry)
		if err != nil {
			continue
		}
		if e, err := bls.ParseEntry(text); err == nil {
			list = append(list, bls.Named{File: f.Name(), Entry: e})
		}
	}
	return list
}

var errTooLarge = errors.New("too large")

// readAtMost returns a file of at most so many bytes.
func readAtMost(fsys fs.FS, name string, most int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	if err == nil && info.Size() > most {
		err = fmt.Errorf("%s: %d bytes: %w", name, info.Size(), errTooLarge)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// serialOf returns the serial number of the FAT that a system mounts as its ESP, if its
// table of mounts has it.
func serialOf(s *system) (uint32, bool) {
	for _, l := range s.table {
		tag, value, _ := fstab.ParseDevice(l.What)
		if !isESP(l) || tag != fstab.UUID {
			continue
		}
		p := plan.Partition{FSID: strings.ToUpper(value)}
		if n, err := p.Serial(); err == nil {
			return n, true
		}
	}
	return 0, false
}
