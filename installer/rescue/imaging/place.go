package imaging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/flash"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// Place is where a copy is put, and the map of it.
type Place struct {
	Target
	Map   *Map
	Again bool // a copy that was begun goes on
	store store
	close func() error
}

// Save puts the map on its disk, in the place of the last one.
func (p *Place) Save(text []byte) error { return p.store.save(text) }

// Close lets go of the target.
func (p *Place) Close() error { return p.close() }

// store is where a map is kept.
type store struct {
	fs   durable.FS
	name string // absolute
}

func (s store) save(text []byte) error { return durable.Write(s.fs, s.name, text, 0o600) }

// load returns the map that is there, or a new one.
func (s store) load(size int64) (*Map, error) {
	text, err := durable.Read(s.fs, s.name, maxMapFile+1)
	if errors.Is(err, fs.ErrNotExist) {
		return NewMap(size), nil
	}
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	m, err := DecodeMap(text, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return m, nil
}

// openStore returns the store of a name, and the map in it.
func openStore(name string, from *Disk) (store, *Map, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return store{}, nil, fault.New(fault.Usage, "", "%w", err)
	}
	s := store{durable.OS("/"), abs}
	if err := from.elsewhere(filepath.Dir(abs)); err != nil {
		return store{}, nil, err
	}
	m, err := s.load(from.size)
	return s, m, err
}

// ToFile copies a disk to a file, which takes room for what is no zeros. Where the
// map has something of the disk already, the file must be there; else it must not.
// Neither may be on the disk itself. Errors have class fault.Target and fault.Input.
func ToFile(from *Disk, image, mapFile string) (*Place, error) {
	if filepath.Clean(image) == filepath.Clean(mapFile) {
		return nil, fault.New(fault.Usage, "name two files", "%s: is the image and the map", image)
	}
	s, m, err := openStore(mapFile, from)
	if err != nil {
		return nil, err
	}
	p := &Place{Map: m, store: s, Again: m.begun()}
	if err := from.elsewhere(filepath.Dir(image)); err != nil {
		return nil, err
	}
	// The map comes first: an image that is empty still would be refused else by who
	// begins again after a power cut.
	_, mapErr := os.Lstat(s.name)
	flag := os.O_RDWR
	switch info, err := os.Stat(image); {
	case err == nil && info.Mode().IsRegular() && (mapErr != nil || !p.Again && info.Size() != 0 && info.Size() != from.size):
		return nil, fault.New(fault.Target, "name a new file, or the map of this one by --map", "%s: exists, and %s is no map of it", image, mapFile)
	case err != nil && p.Again:
		return nil, fault.New(fault.Target, "move the map away to begin anew", "%w, and %s says what is in it", err, mapFile)
	case err != nil:
		flag |= os.O_CREATE
	}
	if err := s.save(m.Encode()); err != nil {
		return nil, fault.New(fault.Target, "", "map: %w", err)
	}
	target, f, err := flash.OpenFile(image, flag)
	if err != nil {
		return nil, err
	}
	p.Target, p.close = target, f.Close
	if p.Again && target.Size != from.size {
		err = fmt.Errorf("%s: has %d bytes, expected %d as the disk has", image, target.Size, from.size)
	} else if err = f.Truncate(from.size); err == nil {
		err = durable.Sync(s.fs, absolute(filepath.Dir(image)))
	}
	if err != nil {
		return nil, errors.Join(fault.New(fault.Target, "", "%w", err), f.Close())
	}
	return p, nil
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// begun reports whether anything is known of the disk.
func (m *Map) begun() bool {
	n, _ := m.Count(NonTried)
	return n < m.Size()
}

// ToDisk copies a disk over another one that was chosen: its pin is compared with
// what is open, and the consent is that of package flash. Of a copy that goes on it
// is asked again. Errors have class fault.Target and fault.Input.
func ToDisk(ctx context.Context, from *Disk, scan disks.Scanner, chosen disks.Disk, consent flash.Consent, mapFile string) (*Place, error) {
	found := flash.Refuse(chosen, consent)
	if chosen.Size < from.size {
		found = append(found, flash.Finding{What: fmt.Sprintf("has %d bytes, expected at least %d", chosen.Size, from.size), Hint: "name a larger disk"})
	}
	if chosen.Hibernated() {
		found = append(found, flash.Finding{What: "a session sleeps on it", Hint: "start that system and shut it down, or name another disk"})
	}
	if from.on(chosen.Number) {
		found = append(found, flash.Finding{What: "is the disk that is read", Hint: "name another disk"})
	}
	if len(found) > 0 {
		return nil, refused(chosen, found)
	}
	s, m, err := openStore(mapFile, from)
	if err != nil {
		return nil, err
	}
	device, err := flash.OpenDevice(chosen.Path, false)
	if err != nil {
		return nil, err
	}
	if err := scan.Check(disks.PinOf(chosen), device.File()); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return &Place{Target: device, Map: m, Again: m.begun(), store: s, close: device.Close}, ctx.Err()
}

// refused names all reasons.
func refused(d disks.Disk, found []flash.Finding) error {
	var reasons, hints []string
	for _, f := range found {
		reasons = append(reasons, f.What)
		switch {
		case f.Flag != "":
			hints = append(hints, f.Flag+" "+flash.Word(d))
		case f.Hint != "":
			hints = append(hints, f.Hint)
		}
	}
	return fault.New(fault.Target, strings.Join(hints, "; "), "%s: %s", d.Path, strings.Join(reasons, "; "))
}

// on reports whether what is read is a device, or on it as a partition.
func (d *Disk) on(number string) bool {
	if d.device == 0 {
		return false
	}
	return sysDir(deviceNumber(d.device)) == sysDir(number) || wholeDir(deviceNumber(d.device)) == sysDir(number)
}

func deviceNumber(rdev uint64) string {
	return strconv.Itoa(int(unix.Major(rdev))) + ":" + strconv.Itoa(int(unix.Minor(rdev)))
}

// sysDir is the directory of sysfs of a device; of none that is known, its name.
func sysDir(number string) string {
	name := filepath.Join("/sys/dev/block", number)
	if dir, err := filepath.EvalSymlinks(name); err == nil {
		return dir
	}
	return name
}

// wholeDir is that of the disk that a partition is on.
func wholeDir(number string) string {
	dir := sysDir(number)
	if _, err := os.Lstat(filepath.Join(dir, "partition")); err == nil {
		return filepath.Dir(dir)
	}
	return dir
}

// elsewhere is an error where a directory is on the disk that is read: what is
// written there may be over what is to be saved.
func (d *Disk) elsewhere(dir string) error {
	source, err := sourceOf(dir)
	if err != nil {
		return fault.New(fault.Target, "name a directory that is there", "%w", err)
	}
	var st unix.Stat_t
	if unix.Stat(source, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return nil // not of a disk
	}
	if whole := wholeDir(deviceNumber(st.Rdev)); d.device != 0 && whole == wholeDir(deviceNumber(d.device)) {
		return fault.New(fault.Target, "mount another disk, and name a directory on that", "%s: is on the disk that is to be saved", dir)
	}
	return nil
}

// sourceOf returns what the file system of a directory is mounted from.
func sourceOf(dir string) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	mounts, err := mountinfo.Self()
	if err != nil {
		return "", err
	}
	for _, m := range mounts {
		if m.ID == strconv.FormatUint(st.Mnt_id, 10) {
			return m.Source, nil
		}
	}
	return "", nil
}

// Copy copies what is not copied yet; see the function of this name.
func (p *Place) Copy(ctx context.Context, from *Disk, retries int, progress func(Progress)) (*Report, error) {
	return Copy(ctx, Request{Source: from, Target: p.Target, Map: p.Map, Save: p.Save, Retries: retries, Progress: progress})
}
