package boot

import (
	"errors"
	"fmt"
	"os"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/swapfile"
)

// tries is how often the swapfile is looked for in a file system that is
// mounted: the kernel may write a new state of it meanwhile.
const tries = 3

// hibernator is the step "hibernation" and all that it touches.
type hibernator struct {
	swapfile *config.Swapfile
	root     Device
	power    power
	open     func(d Device, flag int) (rawDevice, error)
	log      func(level int, format string, args ...any)
}

// hibernation is the step: the running system gets all that it needs to
// hibernate. Nothing in it stops the boot.
func (m *machine) hibernation() error {
	h := &hibernator{
		swapfile: m.config.Swapfile, root: m.root, power: sysPower("/sys/power"), log: m.log.printf,
		open: func(d Device, flag int) (rawDevice, error) { return openRaw(d.Path(), flag) },
	}
	h.run()
	m.leaveUnits()
	return nil
}

// run tells where the swapfile is, for the person and for the kernel.
func (h *hibernator) run() {
	if h.swapfile == nil {
		return
	}
	s, err := h.find()
	if err != nil {
		h.log(levelWarning, "hibernation: not possible: %v", err)
		return
	}
	pieces := ""
	if s.Fragments > 1 {
		pieces = fmt.Sprintf(" in %d pieces", s.Fragments)
	}
	h.log(levelInfo, "swapfile %s offset %d size %s%s", h.swapfile.Path, s.Offset, formatSize(s.Size), pieces)
	if !h.swapfile.Hibernate {
		return
	}
	if why := unable(h.power); why != "" {
		h.log(levelWarning, "hibernation: not possible: %s", why)
		return
	}
	if err := setResume(h.power, h.root.Number, s.Offset); err != nil {
		h.log(levelWarning, "hibernation: not possible: %v", err)
	}
}

// find returns the swapfile. By now the first boot has made it.
func (h *hibernator) find() (s *reader.Swapfile, err error) {
	for range tries {
		if s, err = h.findOnce(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (h *hibernator) findOnce() (*reader.Swapfile, error) {
	d, err := h.open(h.root, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	s, _, err := mapSwapfile(d, h.swapfile.Path)
	if s == nil { // else the kernel has the last word on it
		return nil, err
	}
	page, err := swapfile.ReadPage(d, s.Offset)
	if err != nil {
		return nil, err
	}
	header, err := swaparea.Decode(page)
	switch {
	case err != nil:
		return nil, fmt.Errorf("swapfile %s: %w", h.swapfile.Path, err)
	case header.Hibernated():
		return nil, errors.New("swapfile " + h.swapfile.Path + ": holds a hibernated system")
	case header.Size() > s.Size:
		return nil, fmt.Errorf("swapfile %s: its header counts %d bytes, the file has %d", h.swapfile.Path, header.Size(), s.Size)
	}
	return s, nil
}
