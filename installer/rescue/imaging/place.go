package imaging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// Place is where a copy is put, and the map of it.
type Place struct {
	Target
	Map      *Map
	Again    bool           // a copy that was begun goes on
	Compared func(Compared) // see Request
	trust    bool           // a person has named the disk
	begin    func() error
	store    store
	close    func() error
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

// openStore returns the store of a name, and the map in it: one that is of the disk
// that is read, or was said to be.
func openStore(name string, from *Disk, same string) (store, *Map, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return store{}, nil, fault.New(fault.Usage, "", "%w", err)
	}
	s := store{durable.OS("/"), abs}
	if err := from.elsewhere(filepath.Dir(abs)); err != nil {
		return store{}, nil, err
	}
	m, err := s.load(from.size)
	if err != nil {
		return store{}, nil, err
	}
	if err := m.Origin.judge(from.origin, same); err != nil {
		return store{}, nil, fmt.Errorf("%s: %w", abs, err)
	}
	if same == "" || !m.begun() { // else once it was compared
		m.Origin = from.origin
	}
	return s, m, nil
}

// ToFile copies a disk to a file, which takes room for what is no zeros. Where the
// map has something of the disk already, the file must be there, and have as much as the
// map calls rescued; else it must not. Neither may be on the disk itself. A map of
// another disk is refused, unless same is the Word of the Origin of this one; "" is
// for nobody. Errors have class fault.Target, fault.Input and fault.Usage.
func ToFile(from *Disk, image, mapFile, same string) (*Place, error) {
	if filepath.Clean(image) == filepath.Clean(mapFile) {
		return nil, fault.New(fault.Usage, "name two files", "%s: is the image and the map", image)
	}
	s, m, err := openStore(mapFile, from, same)
	if err != nil {
		return nil, err
	}
	p := &Place{Map: m, store: s, Again: m.begun(), trust: same != ""}
	if err := from.elsewhere(filepath.Dir(image)); err != nil {
		return nil, err
	}
	if _, err := os.Stat(image); err == nil { // where a symlink leads
		if err := from.elsewhere(image); err != nil {
			return nil, err
		}
	}
	_, mapErr := os.Lstat(s.name)
	flag, err := p.mayOpen(from, image, mapFile, mapErr == nil)
	if err != nil {
		return nil, err
	}
	f, err := p.openImage(from, image, mapFile, flag)
	if err != nil {
		return nil, err
	}
	if mapErr != nil { // one that is there stays as it is until the image was compared
		if err := s.save(m.Encode()); err != nil {
			err = errors.Join(fault.New(fault.Target, "", "map: %w", err), f.Close())
			if flag&os.O_CREATE != 0 {
				err = errors.Join(err, os.Remove(image))
			}
			return nil, err
		}
	}
	return p, nil
}

// mayOpen returns how an image is to be opened, or why it may not be.
func (p *Place) mayOpen(from *Disk, image, mapFile string, mapped bool) (flag int, err error) {
	info, err := os.Stat(image)
	switch {
	case err != nil && p.Again:
		return 0, fault.New(fault.Target, notItsImage, "%w, and %s says what is in it", err, mapFile)
	case err != nil: // also of a symlink that leads nowhere, which is not followed
		return os.O_RDWR | os.O_CREATE | os.O_EXCL, nil
	case !info.Mode().IsRegular():
		return os.O_RDWR, nil
	case p.Again && (info.Size() < p.Map.rescuedTo() || info.Size() > from.size):
		return 0, fault.New(fault.Target, notItsImage, "%s: has %d bytes, expected %d as the disk has, or at least the %d that %s calls rescued", image, info.Size(), from.size, p.Map.rescuedTo(), mapFile)
	// A power cut may have left an image that is empty, and has no map yet.
	case !p.Again && info.Size() != 0 && (!mapped || info.Size() != from.size):
		return 0, noMap(image, mapFile)
	}
	return os.O_RDWR, nil
}

// noMap is the error of an image that has something, and is not the one of a map.
func noMap(image, mapFile string) error {
	return fault.New(fault.Target, "name a new file, or the map of this one by --map", "%s: exists, and %s is no map of it", image, mapFile)
}

// openImage opens an image. Where a copy begins it must hold nothing.
func (p *Place) openImage(from *Disk, image, mapFile string, flag int) (*os.File, error) {
	target, f, err := flash.OpenFile(image, flag)
	if err != nil {
		return nil, err
	}
	if !p.Again && target.Size > 0 {
		if blank, err := isBlank(target.Target, target.Size); err != nil || !blank {
			return nil, errors.Join(err, noMap(image, mapFile), f.Close())
		}
	}
	p.Target, p.close = target.Target, f.Close
	p.begin = func() error { // ddrescue leaves a file as long as it went
		if err := f.Truncate(from.size); err != nil {
			return err
		}
		return durable.Sync(p.store.fs, absolute(filepath.Dir(image)))
	}
	return f, nil
}

// isBlank reports whether some blocks all over a target are zeros.
func isBlank(t Target, size int64) (bool, error) {
	all := NewMap(size)
	all.set(0, size, Rescued)
	buffer := make([]byte, blockSize)
	for _, s := range all.samples(blockSize) {
		if _, err := t.ReadAt(buffer[:s.Length], s.Start); err != nil {
			return false, err
		}
		if !allZero(buffer[:s.Length]) {
			return false, nil
		}
	}
	return true, nil
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// notItsImage is what to do where the image is not what the map says.
const notItsImage = "bring back the image of this map, or name another image and another map to begin anew"

// rescuedTo returns where the last part ends that is rescued.
func (m *Map) rescuedTo() (end int64) {
	if p, ok := m.previous(m.Size(), Rescued); ok {
		end = p.end()
	}
	return end
}

// begun reports whether anything is known of the disk.
func (m *Map) begun() bool {
	n, _ := m.Count(NonTried)
	return n < m.Size()
}

// ToDisk copies a disk over another one that was chosen: its pin is compared with
// what is open, and the consent is that of package flash. Of a copy that goes on it
// is asked again; same is as in ToFile. Errors have class fault.Target, fault.Input and
// fault.Usage.
func ToDisk(ctx context.Context, from *Disk, scan disks.Scanner, chosen disks.Disk, consent flash.Consent, mapFile, same string) (*Place, error) {
	found := flash.Refuse(chosen, consent)
	if chosen.Size < from.size {
		found = append(found, flash.Finding{What: fmt.Sprintf("has %d bytes, expected at least %d", chosen.Size, from.size), Hint: "name a larger disk"})
	}
	switch on, err := from.on(chosen.Number); {
	case err != nil:
		found = append(found, flash.Finding{What: err.Error(), Hint: "name another disk"})
	case on:
		found = append(found, flash.Finding{What: "is the disk that is read", Hint: "name another disk"})
	}
	if len(found) > 0 {
		return nil, refused(chosen, found)
	}
	s, m, err := openStore(mapFile, from, same)
	if err != nil {
		return nil, err
	}
	// What was copied may have brought the session of the disk that is read along.
	if chosen.Hibernated() && m.rescuedTo() == 0 {
		return nil, refused(chosen, []flash.Finding{{What: "a session sleeps on it", Hint: "start that system and shut it down, or name another disk"}})
	}
	device, err := flash.OpenDevice(chosen.Path, false)
	if err != nil {
		return nil, err
	}
	if err := scan.Check(disks.PinOf(chosen), device.File()); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return &Place{Target: device, Map: m, Again: m.begun(), trust: same != "", store: s, close: device.Close}, ctx.Err()
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

func deviceNumber(rdev uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev))
}

// Copy copies what is not copied yet; see the function of this name. The map becomes one
// of this disk, if a person has said so, once some of it was found to be.
func (p *Place) Copy(ctx context.Context, from *Disk, retries int, progress func(Progress)) (*Report, error) {
	compared := func(k Compared) {
		if k.Same > 0 {
			p.Map.Origin = from.origin
		}
		if p.Compared != nil {
			p.Compared(k)
		}
	}
	return Copy(ctx, Request{Source: from, Target: p.Target, Map: p.Map, Save: p.Save, Retries: retries, Begin: p.begin, Trust: p.trust, Compared: compared, Progress: progress})
}
