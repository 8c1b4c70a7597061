package boot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
	"github.com/6FaNcY9/mkimage/initramfs/swapfile"
)

const dropHint = "the disk holds a hibernated system that must not be resumed any more, and to go on would destroy its file system: " +
	"make the disk writable, or boot without noresume to resume it"

// resumer is the step "resume" and all that it touches.
type resumer struct {
	swapfile *config.Swapfile
	cmd      Cmdline
	root     Device
	devices  []Device // all that are known
	shell    bool     // a shell had the disk before
	kernel   string   // release of this kernel
	power    power
	open     func(d Device, flag int) (rawDevice, error)
	location func() ([]byte, error) // HibernateLocation as efivarfs shows it
	place    func() (string, error) // where the root's disk is attached
	quiet    func()                 // returns when no driver is being loaded
	messages func() []string        // all of the kernel's about power management
	log      func(level int, format string, args ...any)
}

// resume is the step. Nothing of the root file system is mounted yet: the
// hibernated system has it mounted, and what it keeps in memory must fit what
// is on the disk.
func (m *machine) resume() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	r := &resumer{
		swapfile: m.config.Swapfile, cmd: m.cmd, root: m.root, devices: m.finder.known(), shell: m.shell,
		kernel: unix.ByteSliceToString(uts.Release[:]), power: sysPower("/sys/power"),
		open:     func(d Device, flag int) (rawDevice, error) { return openRaw(d.Path(), flag) },
		location: func() ([]byte, error) { return readLocation("/sys/firmware/efi/efivars", m.loader) },
		place:    func() (string, error) { return record.DiskPath("/sys", m.root.Number) },
		// A driver that is being started cannot be frozen, and the kernel
		// would give up to resume.
		quiet:    func() { m.loader.finish(max(m.cmd.Timeout, DefaultTimeout)) },
		messages: func() []string { return kernelLines(1000, "PM: ") },
		log:      m.log.printf,
	}
	defer urgently()()
	return r.run()
}

// urgently puts this thread before those that load modules, of which there are
// more than processors: everything waits for the decision. It returns what ends
// that.
func urgently() (end func()) {
	runtime.LockOSThread()
	priority := func(nice int) { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice) } // of this thread, on Linux
	priority(-20)
	return func() {
		priority(0)
		runtime.UnlockOSThread()
	}
}

// run resumes, or makes sure that nothing is resumed later. Its only failure is
// that it cannot.
func (r *resumer) run() error {
	if r.swapfile == nil && r.cmd.Resume == "" && r.cmd.ResumeOffset == nil {
		return nil
	}
	before := sinceStart()
	d := decide(r.look())
	for _, w := range d.Warnings {
		r.log(levelWarning, "resume: %s", w)
	}
	what := "not needed"
	switch {
	case d.Resume != nil:
		what = "from " + d.Resume.String()
	case len(d.Drop) > 0:
		what = "refused"
	}
	r.log(levelInfo, "resume %s, decided in %.1fms", what, float64((sinceStart()-before).Microseconds())/1000)
	if d.Resume != nil {
		r.resume(*d.Resume)
		d.Drop = []spot{*d.Resume}
	}
	var errs []error
	for _, s := range d.Drop {
		errs = append(errs, r.drop(s))
	}
	return errors.Join(errs...)
}

// look finds out what there is to know. The firmware, which takes longer than
// all else, is asked only where it may know more than the disk: with a hibernated
// system of which there is no note, or where there is no swapfile.
func (r *resumer) look() findings {
	f := findings{NoResume: r.cmd.NoResume, Factory: r.cmd.Factory, Shell: r.shell, Kernel: r.kernel, Unable: unable(r.power)}
	absent := r.swapfile == nil
	if r.swapfile != nil {
		var err error
		f.Swapfile, f.Note, err = r.ofSwapfile()
		// The first boot makes one where there is none, and a later step tells.
		absent = err != nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.SwapfileProblem = err.Error()
		}
	}
	if r.cmd.Resume != "" || r.cmd.ResumeOffset != nil {
		var err error
		if f.Cmdline, err = r.ofCmdline(); err != nil {
			f.CmdlineProblem = err.Error()
		}
	}
	elsewhere := f.Cmdline != nil && f.Cmdline.Hibernated && (absent || !f.Cmdline.same(*f.Swapfile))
	if absent || elsewhere || f.Swapfile.Hibernated && f.Note == nil {
		r.askFirmware(&f)
	}
	if f.Note != nil {
		f.Disk, _ = r.place() // without it nothing is compared
		f.ImageKernel = cmp.Or(f.ImageKernel, f.Note.Kernel)
	}
	return f
}

// ofSwapfile returns the place of the swapfile and the note of a system that
// was about to hibernate there. One that means another swapfile is of another time.
func (r *resumer) ofSwapfile() (*spot, *record.Record, error) {
	d, err := r.open(r.root, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	s, note, err := mapSwapfile(d, r.swapfile.Path)
	if s == nil {
		return nil, nil, err
	}
	place := look(d, spot{From: "swapfile " + r.swapfile.Path, Path: r.root.Path(), Number: r.root.Number, Offset: s.Offset})
	if err != nil && place.Problem == "" {
		place.Problem = err.Error()
	}
	if note != nil && !note.Of(place.Offset, place.UUID) {
		note = nil
	}
	return place, note, nil
}

// ofCmdline returns the place that the command line names, nil when that is
// only the root device.
func (r *resumer) ofCmdline() (*spot, error) {
	device := r.root
	if r.cmd.Resume != "" {
		var err error
		if device, err = resumeDevice(r.cmd.Resume, append([]Device{r.root}, r.devices...)); err != nil {
			return nil, err
		}
	}
	s := spot{From: "command line", Path: device.Path(), Number: device.Number}
	switch {
	case r.cmd.ResumeOffset != nil:
		s.Offset = *r.cmd.ResumeOffset
	case device.Number == r.root.Number: // its beginning is no swap space, and the disk knows better
		return nil, nil
	}
	return r.lookAt(device, s), nil
}

func (r *resumer) askFirmware(f *findings) {
	raw, err := r.location()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var l HibernateLocation
	if err == nil {
		l, err = ParseHibernateLocation(raw)
	}
	switch {
	case err != nil:
		f.EFIProblem = err.Error()
	case l.UUID != r.root.UUID:
		f.EFIProblem = fmt.Sprintf("HibernateLocation: is in file system %s, this is %s", l.UUID, r.root.UUID)
	default:
		f.ImageKernel = l.Kernel
		f.EFI = r.lookAt(r.root, spot{From: "HibernateLocation", Path: r.root.Path(), Number: r.root.Number, Offset: l.Offset})
	}
}

func (r *resumer) lookAt(device Device, s spot) *spot {
	d, err := r.open(device, os.O_RDONLY)
	if err != nil {
		s.Problem = err.Error()
		return &s
	}
	defer d.Close()
	return look(d, s)
}

// look fills in what stands at a spot.
func look(d rawDevice, s spot) *spot {
	page, err := swapfile.ReadPage(d, s.Offset)
	if err == nil {
		s.Hibernated = swaparea.Hibernated(page)
		var h swaparea.Header
		if h, err = swaparea.Decode(page); err == nil {
			s.UUID = h.UUID.String()
		}
	}
	if err != nil {
		s.Problem = err.Error()
	}
	return &s
}

// resume hands the machine over to the hibernated system. It returns only when
// that fails.
func (r *resumer) resume(s spot) {
	r.quiet()
	seen := len(r.messages())
	err := setResume(r.power, s.Number, s.Offset)
	reason := "the kernel came back without a reason"
	if lines := r.messages(); len(lines) > seen {
		lines = lines[seen:]
		reason = strings.Join(lines[max(0, len(lines)-4):], "; ")
	}
	if err != nil {
		reason = err.Error() + "; " + reason
	}
	r.log(levelWarning, "resume failed, the machine boots anew: %s", reason)
}

// drop makes sure that nothing resumes from s: from now on the file system
// goes its own way.
func (r *resumer) drop(s spot) error {
	device := r.root
	for _, d := range r.devices {
		if d.Number == s.Number {
			device = d
		}
	}
	dropped, err := dropHibernated(func(flag int) (rawDevice, error) { return r.open(device, flag) }, s.Offset)
	if err != nil {
		return fault.New(fault.Input, dropHint, "hibernated system at %s: cannot be given up: %w", s, err)
	}
	if dropped {
		r.log(levelInfo, "resume dropped the hibernated system at %s", s)
	}
	return nil
}
