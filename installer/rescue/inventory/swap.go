package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// Swapfile is the swapfile of a system.
type Swapfile struct {
	Path    string `json:"path"`              // from the top level
	Size    int64  `json:"size"`              // bytes
	Offset  int64  `json:"offset"`            // physical page of its header, the value of resume_offset=; 0 where it has none
	UUID    string `json:"uuid,omitempty"`    // in its header
	Problem string `json:"problem,omitempty"` // why the kernel would not swap to it
}

// Session is one that sleeps: the memory of a system, which goes on with what it knows of
// its file systems. What is written to these meanwhile destroys them when it wakes.
type Session struct {
	Place
	System string `json:"system,omitempty"` // ID of the system that sleeps, where it is known
	File   string `json:"file,omitempty"`   // path of the swapfile from the top level; "" of a swap partition
	Offset int64  `json:"offset,omitempty"` // physical page of its header
	Kernel string `json:"kernel,omitempty"` // release of the kernel that sleeps, where there is a note of it
}

const (
	sleepsMeans = "nothing may write to this disk, or the session and the file systems are destroyed; start the machine without the stick to wake it, or give it up on purpose"
	lostSession = "what was not saved then is lost; the file system is not"
)

// UsualSwapfile is where our layouts have the swapfile, from the top level.
const UsualSwapfile = "@swap/swapfile"

// swapfilePaths returns where a swapfile may be, from the top level, that of the system
// first: where its image had it, where its fstab has it, and what is called so in the top
// directory of a subvolume.
func (f *finder) swapfilePaths() (paths []string) {
	add := func(p string) {
		if p = strings.Trim(path.Clean("/"+p), "/"); p != "" && !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	for _, m := range f.sys.Mounts {
		if m.Type == "swap" && path.IsAbs(m.What) && !strings.HasPrefix(m.What, "/dev/") {
			if at, err := f.view.Resolve(m.What, false); err == nil {
				add(at)
			}
		}
	}
	if f.planOf() != nil && f.esp.swapfile != "" {
		add(f.esp.swapfile)
	}
	add(UsualSwapfile)
	add("swapfile")
	for _, s := range f.list[:min(len(f.list), maxSubvolumes)] {
		add(path.Join(s.Path, "swapfile"))
	}
	return paths
}

// hasSwapfile reports whether a subvolume holds the swapfile that is called as usual, or
// that the image had.
func (f *finder) hasSwapfile(sub string) bool {
	names := []string{path.Join(sub, "swapfile")}
	if f.planOf() != nil && path.Dir(f.esp.swapfile) == sub {
		names = append(names, f.esp.swapfile)
	}
	return slices.ContainsFunc(names, func(n string) bool {
		info, err := f.top.Lstat(n)
		return err == nil && info.Mode().IsRegular()
	})
}

// swapfile finds the swapfile and what sleeps in it.
func (f *finder) swapfile() {
	for _, name := range f.swapfilePaths() {
		info, err := f.top.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				f.unread(name, err)
			}
			continue
		}
		s := Swapfile{Path: name, Size: info.Size()}
		sleeps := f.header(&s)
		if f.sys.Swapfile == nil {
			f.sys.Swapfile = &s
		}
		if sleeps {
			f.asleep(s)
		}
	}
	if f.sys.Swapfile != nil && !f.sys.Hibernated {
		f.neverSlept(*f.sys.Swapfile)
	}
}

// header reads the header of a swapfile at its place on the disk, and reports whether a
// session sleeps there.
func (f *finder) header(s *Swapfile) bool {
	at, err := f.top.MapSwapfile(s.Path)
	if err != nil {
		s.Problem = text(err.Error())
	}
	if at == nil { // it has no place; what is in it was never written by the kernel
		return false
	}
	s.Offset = at.Offset
	page := make([]byte, swaparea.PageSize)
	if err := f.fs.ReadCopy(page, ondisk.Physical(at.Offset)*swaparea.PageSize); err != nil {
		s.Problem = text(err.Error())
		return false
	}
	header, err := swaparea.Decode(page)
	if err != nil {
		s.Problem = text(err.Error())
	} else {
		s.UUID = header.UUID.String()
	}
	return swaparea.Hibernated(page)
}

// asleep notes a session.
func (f *finder) asleep(s Swapfile) {
	f.sys.Hibernated = true
	session := Session{Place: f.at.Place, System: f.sys.ID, File: s.Path, Offset: s.Offset}
	which := ""
	if note, ok := f.note(s); ok {
		session.Kernel = text(note.Kernel)
		which = fmt.Sprintf(" of Linux %s", session.Kernel)
	}
	f.sessions = append(f.sessions, session)
	f.problems.add(Danger, f.sys.ID, sleepsMeans, "a session%s sleeps in %s", which, s.Path)
}

// note reads what the system has left beside its swapfile when it went to sleep.
func (f *finder) note(s Swapfile) (record.Record, bool) {
	name := s.Path + record.Suffix
	info, err := f.top.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > record.MaxSize {
		return record.Record{}, false
	}
	data, err := f.top.ReadFile(name)
	if err != nil {
		f.unread(name, err)
		return record.Record{}, false
	}
	r, err := record.Parse(data)
	return r, err == nil && r.Of(s.Offset, s.UUID)
}

// neverSlept says that there should be a session, and is none.
func (f *finder) neverSlept(s Swapfile) {
	if note, ok := f.note(s); ok {
		f.problems.add(Note, f.sys.ID, lostSession, "the system hibernated with Linux %s, and its session is not in %s", text(note.Kernel), s.Path)
	}
}

// sleeps notes a session in a swap partition, or in a file system that holds no system. A
// btrfs is read for itself.
func (l *look) sleeps(v *volume) {
	for _, c := range v.contents {
		if !c.Hibernated || c.Type == "btrfs" {
			continue
		}
		l.sessions = append(l.sessions, Session{Place: v.Place})
		l.problems.add(Danger, v.String(), sleepsMeans, "a session sleeps in this swap area")
	}
}
