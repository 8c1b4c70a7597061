package boot

import (
	"fmt"

	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// spot is a page on a block device at which the header of a hibernated system
// may stand, and what stands there.
type spot struct {
	From       string // who names it, for the log
	Path       string // of the device node
	Number     string // of the device, MAJOR:MINOR
	Offset     int64  // in pages of 4096 bytes from its start
	UUID       string // in the header, "" when that is damaged
	Hibernated bool   // the header is that of a hibernated system
	Problem    string // why there is no such header, or a damaged one
}

// same reports whether a and b are one place.
func (s spot) same(b spot) bool { return s.Number == b.Number && s.Offset == b.Offset }

func (s spot) String() string {
	return fmt.Sprintf("%s offset %d on %s", s.From, s.Offset, s.Path)
}

// findings is all that the decision depends on. A spot that is nil is not named
// or not known; then its problem, unless it is "", says why.
type findings struct {
	Swapfile, Cmdline, EFI                      *spot
	SwapfileProblem, CmdlineProblem, EFIProblem string
	Note                                        *record.Record // of a system that was about to hibernate into the swapfile, or nil
	Disk                                        string         // where the disk of the root is attached, "" when unknown
	NoResume                                    bool           // the command line has noresume
	Factory                                     bool           // the command line has mkimage.factory
	Shell                                       bool           // a shell had the disk before
	Unable                                      string         // why this kernel cannot resume, "" when it can
	Kernel, ImageKernel                         string         // releases: of this kernel and, if known, of the one that hibernated
}

// decision is what to do before anything is mounted.
type decision struct {
	Resume   *spot    // resume from here
	Drop     []spot   // these must not be resumed from, now or later
	Warnings []string // for the person at the console
}

// decide says whether to resume and from where. One hibernated system, wherever
// it is, is resumed. With two of them nobody knows to which the file system
// belongs as it is now, and to resume the other would destroy it: then, as
// whenever it does not resume, the machine boots anew and what was hibernated is
// given up, since the file system goes on without it.
func decide(f findings) decision {
	var d decision
	var asleep []spot
	for _, s := range []*spot{f.Swapfile, f.Cmdline, f.EFI} {
		if s != nil && s.Hibernated && !holds(asleep, *s) {
			asleep = append(asleep, *s)
		}
	}
	d.Warnings = disagreements(f)
	if len(asleep) == 0 {
		if f.Note != nil {
			d.Warnings = append(d.Warnings, lost)
		}
		return d
	}
	why := ""
	switch {
	case f.NoResume:
		why = "noresume is on the command line"
	case f.Factory:
		why = "mkimage.factory is on the command line"
	case f.Shell:
		why = "a shell ran before, and may have changed the disk"
	case f.Unable != "":
		why = f.Unable
	case diskMoved(f):
		why = fmt.Sprintf("its disk was at %s and is at %s now, where it would not find it", f.Note.Disk, f.Disk)
	case len(asleep) > 1:
		why = fmt.Sprintf("there are two, and one of them is stale: %s; %s", asleep[0], asleep[1])
	default:
		d.Resume = &asleep[0]
		if f.ImageKernel != "" && f.ImageKernel != f.Kernel {
			d.Warnings = append(d.Warnings, fmt.Sprintf("kernel %s hibernated, this is %s", f.ImageKernel, f.Kernel))
		}
		return d
	}
	d.Drop = asleep
	d.Warnings = append(d.Warnings, "the hibernated system is given up: "+why)
	return d
}

// lost is said when a system went to sleep and is nowhere.
const lost = "the system hibernated, and is not in the swapfile: the power failed before it was there, or while it was read back; the machine boots anew"

// diskMoved reports whether the disk is attached elsewhere than when the system in
// the swapfile hibernated. The kernel would wake it, and it would hang.
func diskMoved(f findings) bool {
	return f.Note != nil && f.Swapfile.Hibernated && f.Note.Disk != "" && f.Disk != "" && f.Note.Disk != f.Disk
}

func holds(list []spot, s spot) bool {
	for _, other := range list {
		if other.same(s) {
			return true
		}
	}
	return false
}

// disagreements returns a line for all that is not as it should be.
func disagreements(f findings) []string {
	var lines []string
	for _, problem := range []string{f.SwapfileProblem, f.CmdlineProblem, f.EFIProblem} {
		if problem != "" {
			lines = append(lines, problem)
		}
	}
	if f.Swapfile != nil && f.Swapfile.Problem != "" {
		lines = append(lines, fmt.Sprintf("%s: %s", f.Swapfile, f.Swapfile.Problem))
	}
	for _, s := range []*spot{f.Cmdline, f.EFI} {
		switch {
		case s == nil:
		case f.Swapfile != nil && s.same(*f.Swapfile): // told already
		case !s.Hibernated && f.Swapfile != nil:
			lines = append(lines, fmt.Sprintf("%s: nothing to resume there; what counts is %s", s, f.Swapfile))
		case !s.Hibernated:
			lines = append(lines, fmt.Sprintf("%s: nothing to resume there: %s", s, s.Problem))
		case f.Swapfile != nil:
			lines = append(lines, fmt.Sprintf("%s: is not where the swapfile is: %s", s, f.Swapfile))
		}
	}
	return lines
}
