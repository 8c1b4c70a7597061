package boot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// resumer returns the step on a bench. The order of what it does outside the
// disk is in b.sys.writes.
func (b *bench) resumer(cmdline string) *resumer {
	b.t.Helper()
	cmd, err := ParseCmdline(cmdline)
	if err != nil {
		b.t.Fatal(err)
	}
	return &resumer{
		swapfile: &config.Swapfile{Path: testSwapfile, Hibernate: true}, cmd: cmd, root: b.root, kernel: "6.12", power: &b.sys, open: b.open, log: b.log,
		devices: []Device{b.root, {Name: "sda5", Number: "8:5", PartUUID: "bb"}},
		location: func() ([]byte, error) {
			if b.asked++; b.efi == nil {
				return nil, fs.ErrNotExist
			}
			return b.efi, nil
		},
		place:    func() (string, error) { return "pci-here", nil },
		quiet:    func() { b.sys.writes = append(b.sys.writes, "quiet") },
		messages: func() []string { return b.kernel },
	}
}

// efivar returns HibernateLocation of the bench's file system.
func (b *bench) location(offset int64, kernel string) []byte {
	return efivar(fmt.Sprintf(`{"uuid":%q,"offset":%d,"kernelVersion":%q}`, b.root.UUID, offset, kernel))
}

// resumeCase is one state of a machine when it looks for a hibernated system.
// OFFSET in its texts is where the swapfile is.
type resumeCase struct {
	name    string
	cmdline string
	asleep  bool // the swapfile holds a hibernated system
	with    func(b *bench, r *resumer)
	writes  []string // what the kernel is told
	awake   bool     // the mark of the hibernated system is away, and nothing else changed
	asked   int      // how often the firmware was asked
	console []string
}

const (
	from     = "<6>resume from swapfile @swap/swapfile offset OFFSET on /dev/vda2, decided in *ms"
	dropped  = "<6>resume dropped the hibernated system at swapfile @swap/swapfile offset OFFSET on /dev/vda2"
	refused  = "<6>resume refused, decided in *ms"
	needless = "<6>resume not needed, decided in *ms"
	givenUp  = "<4>resume: the hibernated system is given up: "
	anew     = "<4>resume failed, the machine boots anew: "
)

// tried is what the kernel is told to resume.
var tried = []string{"quiet", "resume_offset=OFFSET", "resume=254:2"}

// kernelTakes is a kernel that takes the mark away, and then finds fault with
// the image.
func kernelTakes(b *bench) {
	b.sys.hook = func(name, _ string) {
		if name == "resume" {
			b.edit("vda2", b.offset, wake)
			b.kernel = append(b.kernel, "PM: hibernation: Read 5 pages", "PM: Image mismatch: architecture specific data")
		}
	}
}

// TestResume resumes, fails to, and does not.
func TestResume(t *testing.T) {
	runResume(t, []resumeCase{
		{name: "awake", console: []string{needless}},
		{name: "awake, noresume", cmdline: "noresume", console: []string{needless}},
		{name: "no swapfile in the configuration", asleep: true, with: func(_ *bench, r *resumer) { r.swapfile = nil }},
		{name: "comes back", asleep: true, with: func(b *bench, _ *resumer) { kernelTakes(b) }, writes: tried, awake: true, asked: 1,
			console: []string{from, anew + "PM: hibernation: Read 5 pages; PM: Image mismatch: architecture specific data"}},
		{name: "comes back, mark still there", asleep: true, writes: tried, awake: true, asked: 1,
			console: []string{from, anew + "the kernel came back without a reason", dropped}},
		{name: "older messages are not the reason", asleep: true, with: func(b *bench, _ *resumer) { b.kernel = []string{"PM: old"} },
			writes: tried, awake: true, asked: 1, console: []string{from, anew + "the kernel came back without a reason", dropped}},
		{name: "offset cannot be written", asleep: true, with: func(b *bench, _ *resumer) { b.sys.fail = "resume_offset" },
			writes: tried[:2], awake: true, asked: 1,
			console: []string{from, anew + "write /sys/power/resume_offset: input/output error; the kernel came back without a reason", dropped}},
		{name: "device cannot be written", asleep: true, with: func(b *bench, _ *resumer) { kernelTakes(b); b.sys.fail = "resume" },
			writes: tried, awake: true, asked: 1,
			console: []string{from, anew + "write /sys/power/resume: input/output error; the kernel came back without a reason", dropped}},
		{name: "noresume", cmdline: "noresume", asleep: true, awake: true, asked: 1,
			console: []string{givenUp + "noresume is on the command line", refused, dropped}},
		{name: "after a shell", asleep: true, with: func(_ *bench, r *resumer) { r.shell = true }, awake: true, asked: 1,
			console: []string{givenUp + "a shell ran before, and may have changed the disk", refused, dropped}},
		{name: "factory", cmdline: "mkimage.factory", asleep: true, awake: true, asked: 1,
			console: []string{givenUp + "mkimage.factory is on the command line", refused, dropped}},
		{name: "locked down", asleep: true, with: func(b *bench, _ *resumer) { b.sys.disk = "[disabled]" }, awake: true, asked: 1,
			console: []string{givenUp + "this kernel has hibernation disabled, *", refused, dropped}},
		{name: "kernel without hibernation", asleep: true, with: func(b *bench, _ *resumer) { b.sys.none = true }, awake: true, asked: 1,
			console: []string{givenUp + "this kernel was built without hibernation", refused, dropped}},
		{name: "kernel without hibernation, awake", with: func(b *bench, _ *resumer) { b.sys.none = true }, console: []string{needless}},
	})
}

// TestResumePlaces has a command line and a disk that say where to look.
func TestResumePlaces(t *testing.T) {
	runResume(t, []resumeCase{
		{name: "right offset on the command line", cmdline: "resume=/dev/vda2 resume_offset=OFFSET", asleep: true, writes: tried, awake: true, asked: 1,
			console: []string{from, anew + "the kernel came back without a reason", dropped}},
		{name: "root device without an offset", cmdline: "resume=/dev/vda2", console: []string{needless}},
		{name: "the reader fails", with: func(b *bench, _ *resumer) {
			b.wrap = func(raw rawDevice) rawDevice { return faulty{rawDevice: raw, panics: true} }
		}, asked: 1,
			console: []string{"<4>resume: swapfile @swap/swapfile: panic: a fault of ours", needless}},
		{name: "wrong offset on the command line", cmdline: "resume=PARTUUID=AA resume_offset=7", asleep: true, writes: tried, awake: true, asked: 1,
			console: []string{"<4>resume: command line offset 7 on /dev/vda2: nothing to resume there; what counts is swapfile @swap/swapfile offset OFFSET on /dev/vda2",
				from, anew + "the kernel came back without a reason", dropped}},
		{name: "offset beyond the disk", cmdline: "resume_offset=2251799813685247", asleep: false,
			console: []string{"<4>resume: command line offset 2251799813685247 on /dev/vda2: nothing to resume there; what counts is *", needless}},
		{name: "unknown device on the command line", cmdline: "resume=/dev/sdz", asleep: true, writes: tried, awake: true, asked: 1,
			console: []string{"<4>resume: resume=/dev/sdz: no such device", from, anew + "the kernel came back without a reason", dropped}},
	})
}

// TestResumeTruth has a disk that cannot be read, and a firmware that knows something else.
func TestResumeTruth(t *testing.T) {
	runResume(t, []resumeCase{
		{name: "damaged header, awake", with: func(b *bench, _ *resumer) { b.edit("vda2", b.offset, func(p []byte) { p[4090]++ }) },
			console: []string{"<4>resume: swapfile @swap/swapfile offset OFFSET on /dev/vda2: header of swap space: signature *", needless}},
		{name: "damaged header, asleep", asleep: true, with: func(b *bench, _ *resumer) { b.edit("vda2", b.offset, func(p []byte) { p[1024] = 9 }) },
			writes: tried, awake: true, asked: 1,
			console: []string{"<4>resume: swapfile @swap/swapfile offset OFFSET on /dev/vda2: header of swap space: version 9, expected 1", from,
				anew + "the kernel came back without a reason", dropped}},
		{name: "swapfile is missing", with: func(_ *bench, r *resumer) { r.swapfile.Path = "@swap/other" }, asked: 1, console: []string{needless}},
		{name: "disk cannot be opened", with: func(b *bench, _ *resumer) { b.broken = errors.New("no medium") }, asked: 1,
			console: []string{"<4>resume: no medium", needless}},
		{name: "no file system", with: func(b *bench, _ *resumer) { b.put("vda2", make([]byte, 1<<20)) }, asked: 1,
			console: []string{"<4>resume: not a btrfs file system*", needless}},
		{name: "firmware agrees", asleep: true, with: func(b *bench, _ *resumer) { b.efi = b.location(b.offset, "6.12") }, writes: tried, awake: true, asked: 1,
			console: []string{from, anew + "the kernel came back without a reason", dropped}},
		{name: "other kernel", asleep: true, with: func(b *bench, _ *resumer) { b.efi = b.location(b.offset, "6.1") }, writes: tried, awake: true, asked: 1,
			console: []string{"<4>resume: kernel 6.1 hibernated, this is 6.12", from, anew + "the kernel came back without a reason", dropped}},
		{name: "firmware disagrees", asleep: true, with: func(b *bench, _ *resumer) { b.efi = b.location(3, "6.12") }, writes: tried, awake: true, asked: 1,
			console: []string{"<4>resume: HibernateLocation offset 3 on /dev/vda2: nothing to resume there; what counts is swapfile @swap/swapfile offset OFFSET on /dev/vda2",
				from, anew + "the kernel came back without a reason", dropped}},
		{name: "firmware knows more", asleep: true, with: func(b *bench, r *resumer) {
			b.efi = b.location(b.offset, "")
			r.swapfile = &config.Swapfile{Path: "gone"}
		},
			writes: tried, awake: true, asked: 1,
			console: []string{"<6>resume from HibernateLocation offset OFFSET on /dev/vda2, decided in *ms", anew + "the kernel came back without a reason",
				"<6>resume dropped the hibernated system at HibernateLocation offset OFFSET on /dev/vda2"}},
		{name: "firmware means another disk", asleep: true, with: func(b *bench, _ *resumer) { b.efi = efivar(locationText) }, writes: tried, awake: true, asked: 1,
			console: []string{"<4>resume: HibernateLocation: is in file system 5c9b6b80-7c39-4e5d-8f4b-2f3f0f0c1d2e, this is *", from,
				anew + "the kernel came back without a reason", dropped}},
		{name: "firmware says nonsense", asleep: true, with: func(b *bench, _ *resumer) { b.efi = []byte{1} }, writes: tried, awake: true, asked: 1,
			console: []string{"<4>resume: HibernateLocation: 1 bytes*", from, anew + "the kernel came back without a reason", dropped}},
	})
}

func runResume(t *testing.T, tests []resumeCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			put := func(text string) string { return strings.ReplaceAll(text, "OFFSET", fmt.Sprint(b.offset)) }
			r := b.resumer(put(test.cmdline))
			if test.asleep {
				b.edit("vda2", b.offset, hibernate)
			}
			if test.with != nil {
				test.with(b, r)
			}
			want := bytes.Clone(b.disks["vda2"])
			if test.awake {
				copy(want[b.offset*4096+4086:], "SWAPSPACE2")
			}
			if err := r.run(); err != nil {
				t.Fatal(err)
			}
			writes := put(strings.Join(test.writes, " "))
			for i, line := range test.console {
				test.console[i] = put(line)
			}
			b.wantLines(test.console...)
			if diff := cmp.Diff(writes, strings.Join(b.sys.writes, " ")); diff != "" {
				t.Errorf("the kernel was told (-want +got):\n%s", diff)
			}
			if !bytes.Equal(want, b.disks["vda2"]) {
				t.Error("the disk is not as it should be")
			}
			if b.asked != test.asked || len(test.console) == 0 && b.opened > 0 {
				t.Errorf("asked the firmware %d times; want %d; opened %d devices", b.asked, test.asked, b.opened)
			}
		})
	}
}

// noted gives the disk a note beside the swapfile, in which HERE is the
// swapfile's offset and SWAP its UUID.
func noted(note string) func(b *bench, r *resumer) {
	return func(b *bench, r *resumer) {
		b.t.Helper()
		asleep := swaparea.Hibernated(b.disks["vda2"][b.offset*4096:][:4096])
		image, err := makeSwapImage(strings.ReplaceAll(note, "HERE", "1"))
		if err != nil {
			b.t.Fatal(err)
		}
		header, err := swaparea.Decode(image.bytes[image.offset*4096:][:4096])
		if err != nil {
			b.t.Fatal(err)
		}
		if image, err = makeSwapImage(strings.NewReplacer("HERE", fmt.Sprint(image.offset), "SWAP", header.UUID.String()).Replace(note)); err != nil {
			b.t.Fatal(err)
		}
		b.put("vda2", image.bytes)
		if b.offset, b.root.UUID, r.root.UUID = image.offset, image.fsid, image.fsid; asleep {
			b.edit("vda2", b.offset, hibernate)
		}
	}
}

// TestResumeNote has a disk with a note of a system that was about to hibernate.
func TestResumeNote(t *testing.T) {
	const reasonless = anew + "the kernel came back without a reason"
	runResume(t, []resumeCase{
		{name: "same place", asleep: true, with: noted(`{"disk":"pci-here","kernel":"6.12","offset":HERE}`), writes: tried, awake: true,
			console: []string{from, reasonless, dropped}},
		{name: "other place", asleep: true, with: noted(`{"disk":"pci-there","kernel":"6.12","offset":HERE}`), awake: true,
			console: []string{givenUp + "its disk was at pci-there and is at pci-here now, where it would not find it", refused, dropped}},
		{name: "other kernel", asleep: true, with: noted(`{"disk":"pci-here","kernel":"6.1","offset":HERE}`), writes: tried, awake: true,
			console: []string{"<4>resume: kernel 6.1 hibernated, this is 6.12", from, reasonless, dropped}},
		{name: "of another swapfile", asleep: true, with: noted(`{"disk":"pci-there","kernel":"6.1","offset":7}`), writes: tried, awake: true, asked: 1,
			console: []string{from, reasonless, dropped}},
		{name: "of this swapfile", asleep: true, with: noted(`{"disk":"pci-there","kernel":"6.12","offset":HERE,"swap":"SWAP"}`), awake: true,
			console: []string{givenUp + "its disk was at pci-there and is at pci-here now, where it would not find it", refused, dropped}},
		{name: "of a swapfile that was at its place", asleep: true, with: noted(`{"disk":"pci-there","kernel":"6.1","offset":HERE,"swap":"x"}`),
			writes: tried, awake: true, asked: 1, console: []string{from, reasonless, dropped}},
		{name: "of a swapfile that was at its place, awake", with: noted(`{"offset":HERE,"swap":"x"}`), console: []string{needless}},
		{name: "nonsense", asleep: true, with: noted(`{`), writes: tried, awake: true, asked: 1, console: []string{from, reasonless, dropped}},
		{name: "too long", with: noted(`{"offset":HERE}` + strings.Repeat(" ", record.MaxSize)), console: []string{needless}},
		{name: "awake", with: noted(`{"disk":"pci-here","kernel":"6.12","offset":HERE}`), console: []string{"<4>resume: " + lost, needless}},
	})
}

// TestResumeElsewhere resumes from a swap partition that the command line
// names, where the swapfile holds nothing.
func TestResumeElsewhere(t *testing.T) {
	b := newBench(t)
	page := swaparea.New(1<<20, [16]byte{7}, "")
	hibernate(page)
	b.put("sda5", append(page, make([]byte, 1<<20-len(page))...))
	if err := b.resumer("resume=PARTUUID=bb").run(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"quiet", "resume_offset=0", "resume=8:5"}; !slices.Equal(b.sys.writes, want) {
		t.Errorf("the kernel was told %q; want %q", b.sys.writes, want)
	}
	if got := b.disks["sda5"]; !bytes.Equal(got[:4096], swaparea.Restored(page)) {
		t.Error("the hibernated system is not dropped")
	}
}

// TestResumeTwo resumes neither of two hibernated systems, and drops both.
func TestResumeTwo(t *testing.T) {
	b := newBench(t)
	page := swaparea.New(1<<20, [16]byte{7}, "")
	hibernate(page)
	b.put("sda5", page)
	b.edit("vda2", b.offset, hibernate)
	if err := b.resumer("resume=/dev/sda5").run(); err != nil {
		t.Fatal(err)
	}
	if len(b.sys.writes) > 0 {
		t.Errorf("the kernel was told %q", b.sys.writes)
	}
	if swaparea.Hibernated(b.disks["sda5"]) || swaparea.Hibernated(b.disks["vda2"][b.offset*4096:][:4096]) {
		t.Error("a hibernated system is left")
	}
}

// faulty is a device whose writes fail, or do not stay.
type faulty struct {
	rawDevice
	write, sync error
	forget      bool
	panics      bool
}

func (f faulty) ReadAt(p []byte, at int64) (int, error) {
	if f.panics {
		panic("a fault of ours")
	}
	return f.rawDevice.ReadAt(p, at)
}

func (f faulty) WriteAt(p []byte, at int64) (int, error) {
	if f.write != nil || f.forget {
		return len(p), f.write
	}
	return f.rawDevice.WriteAt(p, at)
}

func (f faulty) Sync() error { return f.sync }

// TestResumeCannotDrop stops the boot: to mount the file system would make the
// hibernated system a danger to it.
func TestResumeCannotDrop(t *testing.T) {
	for name, f := range map[string]faulty{
		"write: input/output error":     {write: errors.New("write: input/output error")},
		"flush: input/output error":     {sync: errors.New("flush: input/output error")},
		"what was written did not stay": {forget: true},
	} {
		b := newBench(t)
		b.edit("vda2", b.offset, hibernate)
		b.wrap = func(raw rawDevice) rawDevice { f := f; f.rawDevice = raw; return f }
		err := b.resumer("noresume").run()
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "cannot be given up") || fault.HintOf(err) != dropHint {
			t.Errorf("%s: %v, hint %q", name, err, fault.HintOf(err))
		}
	}
}

func TestResumeDevice(t *testing.T) {
	devices := []Device{
		{Name: "vda2", Number: "254:2", PartUUID: "aa-1", PartLabel: "root", UUID: "cc", Label: "Main"},
		{Name: "sda5", Number: "8:5", PartUUID: "bb"},
		{Name: "sda6", Number: "8:6", PartLabel: "twice"}, {Name: "sdb6", Number: "8:22", PartLabel: "twice"},
	}
	tests := []struct{ name, in, want, err string }{
		{"number", "8:5", "sda5", ""},
		{"node", "/dev/sda5", "sda5", ""},
		{"PARTUUID", "PARTUUID=AA-1", "vda2", ""},
		{"PARTLABEL", "PARTLABEL=root", "vda2", ""},
		{"UUID", "UUID=CC", "vda2", ""},
		{"LABEL", `LABEL="Main"`, "vda2", ""},
		{"link by-uuid", "/dev/disk/by-uuid/CC", "vda2", ""},
		{"link by-partlabel", "/dev/disk/by-partlabel/root", "vda2", ""},
		{"absent", "PARTUUID=dd", "", "resume=PARTUUID=dd: no such device"},
		{"absent number", "8:7", "", "resume=8:7: no such device"},
		{"twice", "PARTLABEL=twice", "", "on two devices"},
		{"link by-path", "/dev/disk/by-path/pci-0", "", "expected PARTUUID="},
		{"unknown tag", "ID=x", "", "resume=ID=x: expected"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := resumeDevice(test.in, devices)
			if got.Name != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("resumeDevice(%q) = %s, %v; want %q, %q", test.in, got.Name, err, test.want, test.err)
			}
		})
	}
}
