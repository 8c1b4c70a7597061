package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/keymedium"
)

// How long a key medium is waited for: a stick on USB takes three seconds from
// the start of its drivers.
const (
	mediumBy    = 6 * time.Second // since the kernel's start
	mediumAfter = 4 * time.Second // since drivers were started that had been left out
)

// encryptHint is for the key on an ESP.
const encryptHint = "age -p -a -o " + config.KeyFileEncrypted + " " + config.KeyFile + " encrypts it; remove the other"

// typeESP is the type of an EFI system partition (UEFI 2.10, table 5.7).
const typeESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"

// event is what until has returned for; exactly one field is set.
type event struct {
	medium Device // has a name
	typed  *terminal.Typed
	late   bool
	idle   bool // all devices have been read
}

// until takes in what the kernel says about devices, up to a key medium that
// was not tried, something typed, the end of time or, if it is asked for, the
// end of reading.
func (s *keySearch) until(input <-chan terminal.Typed, end <-chan time.Time, idle bool) event {
	f := s.finder
	for {
		if d, ok := s.newMedium(); ok {
			return event{medium: d}
		}
		if idle && len(f.pending) == 0 && len(f.names) == 0 {
			return event{idle: true}
		}
		select {
		case name := <-f.names:
			f.read(s.ctx, name)
		case name := <-f.gone:
			delete(f.devices, name)
			delete(s.tried, name) // it may come back with another content
		case r := <-f.results:
			f.take(r)
		case t := <-input:
			return event{typed: &t}
		case <-end:
			return event{late: true}
		}
	}
}

// media returns the key media that are there, sorted by name.
func (s *keySearch) media() []Device {
	return slices.DeleteFunc(s.finder.known(), func(d Device) bool { return d.PartLabel != config.KeyLabel })
}

// newMedium returns a key medium that was not tried.
func (s *keySearch) newMedium() (Device, bool) {
	if !s.wants(config.KeyMedium) {
		return Device{}, false
	}
	for _, d := range s.media() {
		if !s.tried[d.Name] {
			return d, true
		}
	}
	return Device{}, false
}

// fromMedium is the source "medium".
func (s *keySearch) fromMedium() bool {
	s.startDrivers()
	s.finder.refresh(s.ctx)
	limit := mediumBy - s.since()
	if s.more {
		limit = max(limit, mediumAfter)
	}
	end, late := s.after(limit), false
	for {
		ev := s.until(nil, end, late)
		switch {
		case ev.medium.Name != "":
			if s.tryMedium(ev.medium) {
				return true
			}
		case !late: // what is there already is read to its end
			end, late = s.after(s.finder.grace), true
		default:
			if len(s.tried) == 0 {
				s.without("no partition of the label %s", config.KeyLabel)
			}
			return false
		}
	}
}

// tryMedia tries the key media that were plugged in meanwhile.
func (s *keySearch) tryMedia() bool {
	for d, ok := s.newMedium(); ok; d, ok = s.newMedium() {
		if s.tryMedium(d) {
			return true
		}
	}
	return false
}

// tryMedium reports whether a key medium has the key.
func (s *keySearch) tryMedium(d Device) bool {
	s.tried[d.Name] = true
	where := "key medium " + d.Path()
	if all := s.media(); len(all) > 1 {
		s.tell(levelWarning, fmt.Sprintf("age key: %d key media, %s and %s: one after the other is tried", len(all), all[0].Path(), all[1].Path()))
	}
	o, err := bounded(s.after(patience), func() (o offer, err error) {
		f, err := os.Open(s.node(d.Name))
		if err != nil {
			return o, err
		}
		defer f.Close()
		name, text, err := keymedium.Read(f, d.Size)
		return offer{where + " (" + name + ")", text}, err
	})
	if err != nil {
		s.refuse(where, err)
		return false
	}
	return s.accept(o)
}

// fromESP is the source "esp". A key that is not encrypted is not used there:
// whoever has the disk could read it.
func (s *keySearch) fromESP() bool {
	if s.root.Part == 0 {
		s.without("no ESP: %s is no partition", s.root.Path())
		return false
	}
	found, err := bounded(s.after(patience), s.readESPs)
	if err != nil {
		s.refuse("ESP of /dev/"+s.root.Disk, err)
		return false
	}
	for _, e := range found {
		switch {
		case e.err == nil && !agekey.IsEncrypted(e.text):
			clear(e.text)
			s.refuse(e.where, firstboot.NewProblem(firstboot.CodeBadKey, encryptHint, "%s is not encrypted: not used", config.KeyFileEncrypted))
		case e.err == nil:
			if s.accept(e.offer) {
				return true
			}
		case firstboot.CodeOf(e.err) == firstboot.CodeNoKey:
			s.without("no %s on the %s", config.KeyFileEncrypted, e.where)
		default:
			// Nobody should format an ESP as the hint of a key medium says.
			s.refuse(e.where, firstboot.NewProblem(firstboot.CodeOf(e.err), encryptHint, "%w", plain(e.err)))
		}
	}
	if len(found) == 0 {
		s.without("no ESP on /dev/%s", s.root.Disk)
	}
	return false
}

// plain is err without its code and hint.
func plain(err error) error { return errors.New(err.Error()) }

// espKey is the encrypted key of an ESP, or why there is none.
type espKey struct {
	offer
	err error
}

// readESPs looks for the key on the ESPs of the root's disk, in the order of the
// partitions.
func (s *keySearch) readESPs() (found []espKey, err error) {
	sector, err := readNumber(filepath.Join(s.host.sys, "class/block", s.root.Disk, "queue/logical_block_size"))
	if err != nil {
		return nil, err
	}
	disk, err := os.Open(s.node(s.root.Disk))
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	table, err := readGPT(disk, sector)
	if err != nil {
		return nil, err
	}
	for _, n := range slices.Sorted(maps.Keys(table)) {
		e := table[n]
		if e.kind != typeESP || e.last < e.first {
			continue
		}
		size := (e.last - e.first + 1) * sector
		text, err := keymedium.ReadEncrypted(io.NewSectionReader(disk, e.first*sector, size), size)
		where := fmt.Sprintf("ESP of /dev/%s (partition %d)", s.root.Disk, n)
		found = append(found, espKey{offer{where, text}, err})
	}
	return found, nil
}

// bounded returns what do returns, unless that takes too long: a disk that does
// not answer must not hold up the boot. Then do goes on by itself.
func bounded[T any](end <-chan time.Time, do func() (T, error)) (v T, err error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil { // the end of PID 1 would be a panic of the kernel's
				r.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			done <- r
		}()
		r.v, r.err = do()
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-end:
		return v, errors.New("it does not answer")
	}
}

// refresh reads all devices that are there and not known: what the kernel has
// said of them may still be on its way.
func (f *finder) refresh(ctx context.Context) {
	names, err := f.host.names()
	if err != nil {
		return // there will be uevents
	}
	for _, name := range names {
		if _, known := f.devices[name]; !known && f.pending[name] == 0 {
			f.read(ctx, name)
		}
	}
}

// rest starts to load what keep has left out, and reports whether that is
// anything.
func (l *loader) rest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, m := range l.modules {
		_, done := l.done[m.Name]
		if !done && !l.running[m.Name] && !slices.ContainsFunc(l.queue, func(q Module) bool { return q.Name == m.Name }) {
			l.queue = append(l.queue, m)
			n++
		}
	}
	l.changed.Broadcast()
	for range min(n, runtime.NumCPU()+1) {
		go l.work() // those that were started at first have ended
	}
	return n > 0
}
