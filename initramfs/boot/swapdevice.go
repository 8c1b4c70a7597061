package boot

import (
	"errors"
	"io"
	"os"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
	"github.com/6FaNcY9/mkimage/initramfs/swapfile"
)

// rawDevice is a block device, or an image that stands for one, past the page
// cache: the kernel writes swap headers and file systems without it.
type rawDevice interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Size() int64 // bytes
}

// openRaw opens a device node, flag being os.O_RDONLY or os.O_RDWR.
func openRaw(node string, flag int) (rawDevice, error) {
	d, err := rawdisk.Open(node, flag)
	if err != nil {
		return nil, err // not a nil *rawdisk.Disk
	}
	return d, nil
}

// mapSwapfile finds a swapfile as swapfile.Map does, and the note of a system that was
// about to hibernate into it, nil when there is none that can be read.
func mapSwapfile(d rawDevice, name string) (s *reader.Swapfile, note *record.Record, err error) {
	s, top, err := swapfile.Map(d, name)
	if s == nil {
		return nil, nil, err
	}
	return s, readNote(top, name+record.Suffix), err
}

func readNote(top *reader.Volume, name string) *record.Record {
	info, err := top.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > record.MaxSize {
		return nil
	}
	text, err := top.ReadFile(name)
	if err != nil {
		return nil
	}
	r, err := record.Parse(text)
	if err != nil {
		return nil
	}
	return &r
}

// dropHibernated takes the mark of a hibernated system away, so that nothing
// resumes from it. wasThere is false when there is none: the kernel takes it
// away before it reads the system.
func dropHibernated(open func(flag int) (rawDevice, error), offset int64) (wasThere bool, err error) {
	page, err := readOnce(open, offset)
	if err != nil || !swaparea.Hibernated(page) {
		return false, err
	}
	d, err := open(os.O_RDWR)
	if err != nil {
		return true, err
	}
	_, err = d.WriteAt(swaparea.Restored(page), offset*swaparea.PageSize)
	if err == nil {
		err = d.Sync()
	}
	if err = errors.Join(err, d.Close()); err != nil {
		return true, err
	}
	if page, err = readOnce(open, offset); err == nil && swaparea.Hibernated(page) {
		err = errors.New("what was written did not stay on the device")
	}
	return true, err
}

func readOnce(open func(flag int) (rawDevice, error), offset int64) ([]byte, error) {
	d, err := open(os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return swapfile.ReadPage(d, offset)
}
