package hibernate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// System is the machine that hibernates.
type System struct {
	Swapfile string                           // of the layout, the path in the running system
	Power    Power                            // /sys/power
	Proc     string                           // the directory /proc
	Sys      string                           // the directory /sys
	Locate   func(path string) (Place, error) // see the function Locate
}

// Running is the system that this program runs in.
func Running(swapfile string) *System {
	return &System{Swapfile: filepath.Clean(swapfile), Power: PowerDir("/sys/power"), Proc: "/proc", Sys: "/sys", Locate: Locate}
}

// swap returns the swapfile in use.
func (s *System) swap() (Swap, error) {
	text, err := os.ReadFile(filepath.Join(s.Proc, "swaps"))
	if err != nil {
		return Swap{}, err
	}
	swaps, err := ParseSwaps(string(text))
	if err != nil {
		return Swap{}, err
	}
	for _, swap := range swaps {
		if swap.File && !swap.Deleted && swap.Path == s.Swapfile {
			return swap, nil
		}
	}
	return Swap{}, fmt.Errorf("%s is not in use as swap space%s; try: swapon %s", s.Swapfile, others(swaps), s.Swapfile)
}

// others says what else is swapped to, and why that is no place to hibernate
// to.
func others(swaps []Swap) string {
	var list []string
	for _, swap := range swaps {
		switch {
		case strings.HasPrefix(swap.Path, "/dev/zram"):
			list = append(list, swap.Path+" is memory")
		case swap.Deleted:
			list = append(list, swap.Path+" was deleted")
		default:
			list = append(list, swap.Path+" is not what the initramfs resumes from")
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// update makes the kernel's place that of the swapfile in use.
func (s *System) update() (swap Swap, place Place, changed bool, err error) {
	if err := available(s.Power); err != nil {
		return swap, place, false, err
	}
	if swap, err = s.swap(); err != nil {
		return swap, place, false, err
	}
	if place, err = s.Locate(swap.Path); err != nil {
		return swap, place, false, fmt.Errorf("%s: %w", swap.Path, err)
	}
	changed, err = set(s.Power, place)
	return swap, place, changed, err
}

// Check returns nil when the system can hibernate, with the line to print; the
// place that the kernel has is put right before. Any error is a refusal.
func (s *System) Check() (string, error) {
	text, _, err := s.check()
	return text, err
}

// Prepare is Check just before the system hibernates: it leaves a note of that
// for the boot that follows, see package record. To hibernate without one is
// possible, too.
func (s *System) Prepare() (string, error) {
	text, place, err := s.check()
	if err != nil {
		return "", err
	}
	if err := s.note(place); err != nil {
		text += "; no note of that: " + err.Error()
		if err := s.Woken(); err != nil { // one of before would be wrong
			text += "; " + err.Error()
		}
	}
	return text, nil
}

func (s *System) note(p Place) error {
	disk, err := record.DiskPath(s.Sys, p.resume())
	if err != nil {
		return err
	}
	kernel, err := os.ReadFile(filepath.Join(s.Proc, "sys/kernel/osrelease"))
	if err != nil {
		return err
	}
	swap, err := swapUUID(s.Swapfile)
	if err != nil {
		return err
	}
	return record.Record{Disk: disk, Kernel: strings.TrimSpace(string(kernel)), Offset: p.Offset, Swap: swap}.Write(s.Swapfile)
}

func swapUUID(swapfile string) (string, error) {
	f, err := os.Open(swapfile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	header := make([]byte, swaparea.PageSize)
	if _, err := f.ReadAt(header, 0); err != nil {
		return "", err
	}
	h, err := swaparea.Decode(header)
	return h.UUID.String(), err
}

// Woken takes the note away that Prepare left: the system is awake.
func (s *System) Woken() error { return record.Remove(s.Swapfile) }

// check is Check, and returns the place too.
func (s *System) check() (text string, place Place, err error) {
	swap, place, changed, err := s.update()
	if err != nil {
		return "", place, err
	}
	meminfo, err := os.ReadFile(filepath.Join(s.Proc, "meminfo"))
	if err != nil {
		return "", place, err
	}
	active, err := activeAnon(string(meminfo))
	if err != nil {
		return "", place, err
	}
	if free := swap.Size - swap.Used; !fits(active, free) {
		return "", place, fmt.Errorf("%s has %s free, programs use %s of memory: close some, or make it larger", swap.Path, mebibytes(free), mebibytes(active))
	}
	return line(swap, place) + told(changed), place, nil
}

// line says where the swapfile is.
func line(swap Swap, place Place) string { return fmt.Sprintf("swapfile %s %v", swap.Path, place) }

func told(changed bool) string {
	if changed {
		return ", which the kernel was told"
	}
	return ""
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
