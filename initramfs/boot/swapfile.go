package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// noCow is FS_NOCOW_FL of the kernel's include/uapi/linux/fs.h.
const noCow = 0x00800000

// newSuffix is that of a swapfile that is not finished.
const newSuffix = ".new"

// swapSize returns how large a swapfile is to be, in bytes of whole pages, by
// config.Swapfile.Size, and where the number comes from. 0 means that it stays
// as it is.
func swapSize(text string, ram func() (int64, string, error)) (size int64, source string, err error) {
	if text == "none" {
		return 0, "", nil
	}
	digits, source := text, "as the layout says"
	if text == "ram" {
		digits = "ram+0"
	}
	digits, withRAM := strings.CutPrefix(digits, "ram+")
	if size, err = strconv.ParseInt(digits, 10, 64); err != nil || size < 0 || size > swaparea.MaxSize {
		return 0, "", fault.New(fault.Config, "", "size %q: expected none, a number of bytes, ram or ram+BYTES", text)
	}
	if withRAM {
		n, from, err := ram()
		if err != nil {
			return 0, "", err
		}
		size, source = size+n, "RAM by "+from
	}
	size = (size + swaparea.PageSize - 1) / swaparea.PageSize * swaparea.PageSize
	if size < swaparea.MinSize || size > swaparea.MaxSize {
		return 0, "", fault.New(fault.Config, "", "size %q: %d bytes, expected %d to %d", text, size, swaparea.MinSize, int64(swaparea.MaxSize))
	}
	return size, source, nil
}

// enlarge puts a swapfile of the size that is asked for in the place of the one
// that is there. Until the new one is known to be good and is on the disk, the
// old one stays.
func (f *firstBoot) enlarge() error {
	want, source, err := swapSize(f.swapfile.Size, f.ram)
	if err != nil || want == 0 {
		return err
	}
	name := filepath.Join(f.dir, f.swapfile.Path)
	if err := os.Remove(name + newSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	has, uuid, err := oldSwapfile(name)
	if err != nil {
		return err
	}
	if has >= want {
		f.log(levelInfo, "swapfile %s has %s already", f.swapfile.Path, formatSize(has))
		return nil
	}
	if err := checkRoom(filepath.Dir(name), want); err != nil {
		return fmt.Errorf("no room for %s (%s): %w; it keeps its %s", formatSize(want), source, err, formatSize(has))
	}
	made, err := f.make(name+newSuffix, want, uuid)
	if err != nil {
		return errors.Join(err, os.Remove(name+newSuffix))
	}
	if err := os.Rename(name+newSuffix, name); err != nil {
		return err
	}
	if err := syncFileSystem(filepath.Dir(name)); err != nil {
		return err
	}
	pieces := "one piece"
	if made.Fragments != 1 {
		pieces = fmt.Sprintf("%d pieces", made.Fragments)
	}
	f.log(levelInfo, "swapfile %s enlarged from %s to %s (%s), in %s", f.swapfile.Path, formatSize(has), formatSize(want), source, pieces)
	return nil
}

// oldSwapfile returns size and UUID of the swapfile that is there, 0 for the
// size when it is none. Who names it by its UUID finds the new one, too.
func oldSwapfile(name string) (size int64, uuid ids.UUID, err error) {
	old, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = unix.Getrandom(uuid[:], 0)
		return 0, uuid, err
	}
	if err != nil {
		return 0, uuid, err
	}
	defer old.Close()
	page := make([]byte, swaparea.PageSize)
	if _, err := old.ReadAt(page, 0); err == nil {
		if h, err := swaparea.Decode(page); err == nil {
			return h.Size(), h.UUID, nil
		}
	}
	_, err = unix.Getrandom(uuid[:], 0)
	return 0, uuid, err
}

// checkRoom refuses a file that leaves too little room for all others.
func checkRoom(dir string, size int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", dir, err)
	}
	free, kept := int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize/config.SwapKeepsFree
	if size > free-kept {
		return fault.New(fault.Target, "", "%s are free, %s must stay so", formatSize(free), formatSize(kept))
	}
	return nil
}

// make makes a swapfile and reads it back from the device, past all that the
// kernel remembers of it.
func (f *firstBoot) make(name string, size int64, uuid ids.UUID) (*reader.Swapfile, error) {
	if err := writeSwapfile(name, size, uuid); errors.Is(err, unix.ENOSPC) {
		return nil, fault.New(fault.Target, "", "%w", err)
	} else if err != nil {
		return nil, err
	}
	// What the file is made of is in the trees only from here on.
	if err := syncFileSystem(filepath.Dir(name)); err != nil {
		return nil, err
	}
	d, err := f.open(os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	made, _, err := mapSwapfile(d, f.swapfile.Path+newSuffix)
	if err != nil {
		return nil, err
	}
	page, err := readPage(d, made.Offset)
	if err != nil {
		return nil, err
	}
	if h, err := swaparea.Decode(page); err != nil || h.UUID != uuid || h.Size() != size {
		return nil, fmt.Errorf("header at offset %d: %+v (%v), expected UUID %s and %d bytes", made.Offset, h, err, uuid, size)
	}
	return made, nil
}

// writeSwapfile makes a file that the kernel swaps to: not copied on write, and
// without holes.
func writeSwapfile(name string, size int64, uuid ids.UUID) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(fillSwapfile(f, size, uuid), f.Close())
}

func fillSwapfile(f *os.File, size int64, uuid ids.UUID) error {
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return fmt.Errorf("%s: flags: %w", f.Name(), err)
	}
	// It takes effect on an empty file only.
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|noCow); err != nil {
		return fmt.Errorf("%s: flags: %w", f.Name(), err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		return fmt.Errorf("%s: allocate %d bytes: %w", f.Name(), size, err)
	}
	if _, err := f.WriteAt(swaparea.New(size, uuid, ""), 0); err != nil {
		return err
	}
	return f.Sync()
}
