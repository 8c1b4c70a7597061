package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// writeTarget is what an image is written to: a disk, or a file.
type writeTarget struct {
	name   string
	about  disks.Disk
	found  []flash.Finding // what opening it told
	disk   flash.Disk
	device *flash.Device // nil of a file
	file   *os.File      // nil of a device, and of a file that is yet to be made
	fresh  bool          // the file is not there yet
}

// describeTarget describes a disk or a file.
func describeTarget(ctx context.Context, name string) (disks.Disk, error) {
	return disks.Scanner{Loop: true}.One(ctx, name)
}

// openWriteTarget opens a target for an image of so many bytes. It changes
// nothing; a file that is not there is made by prepare.
func openWriteTarget(ctx context.Context, name string, size int64, readOnly bool) (_ *writeTarget, err error) {
	t := &writeTarget{name: name}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := checkOutput(name, "name a file in it"); err != nil { // also of a link that leads nowhere
			return nil, err
		}
		if strings.HasPrefix(filepath.Clean(name), "/dev/") { // a file there is memory
			return nil, fault.New(fault.Target, "lsblk lists the disks", "%s: no such disk", name)
		}
		t.fresh, t.disk.Size = true, size
		t.about = disks.Disk{Name: filepath.Base(name), Path: name, Bus: "file", Size: size, SectorSize: 512}
		return t, nil
	case err != nil:
		return nil, fault.New(fault.Target, "", "%w", err)
	case info.IsDir():
		return nil, fault.New(fault.Target, "name a disk, or a file in it", "%s: is a directory", name)
	}
	if t.about, err = describeTarget(ctx, name); err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return t, t.openFile(size, readOnly)
	}
	return t, t.openDevice(readOnly)
}

// openFile opens a file. An empty one gets the size of the image in time.
func (t *writeTarget) openFile(size int64, readOnly bool) (err error) {
	flag := os.O_RDWR
	if readOnly {
		flag = os.O_RDONLY
	}
	if t.disk, t.file, err = flash.OpenFile(t.name, flag); err != nil {
		return err
	}
	if t.disk.Size == 0 {
		t.disk.Size = size
	}
	return nil
}

// openDevice opens a disk for this run alone. That it is in use is a finding
// among others; the figures of it are then those of its description.
func (t *writeTarget) openDevice(readOnly bool) error {
	d, err := flash.OpenDevice(t.name, readOnly)
	switch {
	case errors.Is(err, unix.EBUSY):
		t.disk = flash.Disk{Size: t.about.Size, SectorSize: t.about.SectorSize}
		t.busy("is in use")
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Target, "run it with sudo", "%w", err)
	case errors.Is(err, unix.EROFS): // what describes it says so, too
		t.disk = flash.Disk{Size: t.about.Size, SectorSize: t.about.SectorSize}
		if !t.about.ReadOnly {
			t.found = append(t.found, flash.Finding{What: "is read-only"})
		}
		return nil
	case err != nil:
		return err
	}
	t.device, t.disk = d, d.Disk
	// The name may lead to another disk than a moment ago.
	if d.Number != t.about.Number || d.Size != t.about.Size || d.Diskseq != 0 && t.about.Diskseq != 0 && d.Diskseq != t.about.Diskseq {
		t.found = append(t.found, flash.Finding{What: "was changed for another disk meanwhile", Hint: "start again"})
	}
	if errors.Is(d.Reread(), unix.EBUSY) {
		t.busy("a partition of it is in use")
	}
	return nil
}

// busy adds a finding, unless it is known who uses the disk.
func (t *writeTarget) busy(what string) {
	if len(t.about.Uses) == 0 {
		t.found = append(t.found, flash.Finding{What: what, Hint: "lsblk " + shellWord(t.name) + " shows who uses it"})
	}
}

// holds reports whether the target is the image, or is made of it.
func (t *writeTarget) holds(image string) bool {
	from, err := os.Stat(image)
	if err != nil {
		return false
	}
	if to, err := os.Stat(t.name); err == nil {
		if os.SameFile(from, to) {
			return true
		}
		a, okA := rdev(from)
		b, okB := rdev(to)
		if okA && okB && a == b {
			return true
		}
	}
	backing, err := os.Stat(firstLine(filepath.Join("/sys/block", t.about.Name, "loop/backing_file")))
	return err == nil && t.device != nil && os.SameFile(from, backing)
}

// prepare makes the file that is not there, or gives an empty one its size.
func (t *writeTarget) prepare(size int64) (err error) {
	if t.fresh {
		if t.disk, t.file, err = flash.OpenFile(t.name, os.O_RDWR|os.O_CREATE|os.O_EXCL); err != nil {
			return err
		}
	}
	if t.file == nil {
		return nil
	}
	if info, err := t.file.Stat(); err != nil || info.Size() > 0 {
		return err
	}
	t.disk.Size = size
	return spaceHint(t.file.Truncate(size))
}

// finish makes the kernel see the new partitions. If it will not, it does when
// the disk is put in again.
func (t *writeTarget) finish() {
	if t.device != nil {
		_ = t.device.Reread()
	}
	if t.fresh {
		_ = syncDir(filepath.Dir(t.name))
	}
}

// abandon removes a file that was made for nothing, and reports whether it did.
func (t *writeTarget) abandon() bool {
	return t.fresh && t.file != nil && os.Remove(t.name) == nil
}

func (t *writeTarget) close() {
	if t.device != nil {
		_ = t.device.Close()
	}
	if t.file != nil {
		_ = t.file.Close()
	}
}

// refusal makes one error of all findings.
func refusal(d disks.Disk, found []flash.Finding) error {
	var what, hints []string
	flags := ""
	for _, f := range found {
		what = append(what, f.What)
		if f.Flag != "" {
			flags += " " + f.Flag + " " + shellWord(flash.Word(d))
		}
		if f.Hint != "" && !slices.Contains(hints, f.Hint) {
			hints = append(hints, f.Hint)
		}
	}
	if flags != "" {
		hints = append(hints, "if it is the disk you mean:"+flags)
	}
	return fault.New(fault.Target, strings.Join(hints, "; "), "%s: refused: %s", d, strings.Join(what, "; "))
}

// firstLine returns the text in a file of sysfs, "" when there is none.
func firstLine(name string) string {
	data, _ := os.ReadFile(name)
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// rdev returns the number of a block device.
func rdev(info fs.FileInfo) (number uint64, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Type() != fs.ModeDevice {
		return 0, false
	}
	return st.Rdev, true
}
