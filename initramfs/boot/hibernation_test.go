package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

func TestHibernation(t *testing.T) {
	image, err := plainImage()
	if err != nil {
		t.Fatal(err)
	}
	place := fmt.Sprintf("<6>swapfile @swap/swapfile offset %d size 1.0 MiB", image.offset)
	told := []string{fmt.Sprintf("resume_offset=%d", image.offset), "resume=254:2"}
	const cannot = "<4>hibernation: not possible: "
	page := func(change func(page []byte)) func(*bench, *hibernator) {
		return func(b *bench, _ *hibernator) { b.edit("vda2", b.offset, change) }
	}
	tests := []struct {
		name    string
		with    func(b *bench, h *hibernator)
		writes  []string
		console []string
	}{
		{"as it is", func(*bench, *hibernator) {}, told, []string{place}},
		{"no swapfile in the configuration", func(_ *bench, h *hibernator) { h.swapfile = nil }, nil, nil},
		{"swap alone", func(_ *bench, h *hibernator) { h.swapfile.Hibernate = false }, nil, []string{place}},
		{"swapfile is missing", func(_ *bench, h *hibernator) { h.swapfile.Path = "@swap/x" }, nil, []string{cannot + "swapfile @swap/x:*does not exist"}},
		{"disk cannot be opened", func(b *bench, _ *hibernator) { b.broken = errors.New("no medium") }, nil, []string{cannot + "no medium"}},
		{"no header", page(func(p []byte) { clear(p) }), nil, []string{cannot + "swapfile @swap/swapfile: header of swap space: signature *"}},
		{"hibernated", page(hibernate), nil, []string{cannot + "swapfile @swap/swapfile: holds a hibernated system"}},
		{"header too long", page(func(p []byte) { copy(p, swaparea.New(1<<20+4096, [16]byte{1}, "")) }), nil,
			[]string{cannot + "swapfile @swap/swapfile: its header counts 1052672 bytes, the file has 1048576"}},
		{"header shorter", page(func(p []byte) { copy(p, swaparea.New(1<<20-4096, [16]byte{1}, "")) }), told, []string{place}},
		{"kernel without hibernation", func(b *bench, _ *hibernator) { b.sys.none = true }, nil, []string{place, cannot + "this kernel was built without hibernation"}},
		{"locked down", func(b *bench, _ *hibernator) { b.sys.disk = "[disabled]" }, nil, []string{place, cannot + "this kernel has hibernation disabled, *"}},
		{"offset cannot be written", func(b *bench, _ *hibernator) { b.sys.fail = "resume_offset" }, told[:1],
			[]string{place, cannot + "write /sys/power/resume_offset: input/output error"}},
		{"device cannot be written", func(b *bench, _ *hibernator) { b.sys.fail = "resume" }, told,
			[]string{place, cannot + "write /sys/power/resume: input/output error"}},
		{"changes while it is read", func(b *bench, h *hibernator) {
			h.open = func(d Device, flag int) (rawDevice, error) {
				raw, err := b.open(d, flag)
				if b.opened < 3 {
					return memory(nil), err
				}
				return raw, err
			}
		}, told, []string{place}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			h := &hibernator{swapfile: &config.Swapfile{Path: testSwapfile, Hibernate: true}, root: b.root, power: &b.sys, open: b.open, log: b.log}
			test.with(b, h)
			h.run()
			b.wantLines(test.console...)
			if !slices.Equal(b.sys.writes, test.writes) {
				t.Errorf("the kernel was told %q; want %q", b.sys.writes, test.writes)
			}
		})
	}
}

// TestHibernationMounted finds a swapfile of many pieces in a file system that
// is mounted and has just been written.
func TestHibernationMounted(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "mkswap", "chattr", "fallocate", "sh")
	mounted, out := mountedSwapfile(t, `: > swap; : > between; chattr +C swap between; chmod 600 swap
		for i in 0 1 2 3; do fallocate -o ${i}M -l 1M swap; sync; fallocate -o ${i}M -l 1M between; sync; done
		mkswap -q swap; btrfs filesystem sync .; btrfs inspect-internal map-swapfile -r swap`)
	b := newBench(t)
	h := &hibernator{swapfile: &config.Swapfile{Path: "swap"}, power: &b.sys, log: b.log,
		open: func(_ Device, flag int) (rawDevice, error) { return openRaw(mounted.Device, flag) }}
	h.run()
	b.wantLines("<6>swapfile swap offset " + out + " size 4.0 MiB in * pieces")
}

// mountedSwapfile makes a file system of the kernel's and runs a script in it.
func mountedSwapfile(t *testing.T, script string) (m *imgtest.Mounted, out string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "fs")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 256<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.btrfs", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.btrfs: %v\n%s", err, out)
	}
	m = imgtest.MountImage(t, image, imgtest.MountOptions{})
	text, err := exec.Command("sh", "-ec", `cd "$0"; `+script, m.Dir).CombinedOutput()
	if err != nil {
		t.Fatalf("swapfile: %v\n%s", err, text)
	}
	return m, strings.TrimSpace(string(text))
}

// TestResumeShared resumes from a swapfile that a snapshot has too: some kernels
// swap to it, and then what they left must not stay unnoticed.
func TestResumeShared(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "mkswap", "chattr", "fallocate", "sh")
	mounted, out := mountedSwapfile(t, `: > swap; chattr +C swap; chmod 600 swap; fallocate -l 8M swap; mkswap -q swap; sync
		btrfs inspect-internal map-swapfile -r swap; btrfs -q subvolume snapshot . snapshot
		printf 'S1SUSPEND\0' | dd of="$(df --output=source . | tail -n 1)" bs=1 seek=$(($(btrfs inspect-internal map-swapfile -r swap) * 4096 + 4086)) conv=notrunc,fsync status=none`)
	b := newBench(t)
	r := b.resumer("noresume")
	r.swapfile = &config.Swapfile{Path: "swap"}
	r.open = func(_ Device, flag int) (rawDevice, error) { return openRaw(mounted.Device, flag) }
	if err := r.run(); err != nil {
		t.Fatal(err)
	}
	place := "swapfile swap offset " + out + " on /dev/vda2"
	b.wantLines("<4>resume: "+place+": *", "<4>resume: the hibernated system is given up: noresume is on the command line",
		"<6>resume refused, decided in *ms", "<6>resume dropped the hibernated system at "+place)
}

func TestSysPower(t *testing.T) {
	p := sysPower(t.TempDir())
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(string(p), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := unable(p); got != "this kernel was built without hibernation" {
		t.Errorf("unable = %q", got)
	}
	for text, want := range map[string]string{"[disabled]\n": "hibernation disabled", "platform [shutdown] reboot\n": "", "[platform]\n": ""} {
		put("disk", text)
		if got := unable(p); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("unable with %q = %q; want %q", text, got, want)
		}
	}
	put("resume_offset", "")
	if err := setResume(p, "254:2", 140544); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("setResume without a file = %v; want fs.ErrNotExist", err)
	}
	put("resume", "")
	if err := setResume(p, "254:2", 140544); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"resume_offset": "140544", "resume": "254:2"} {
		if got, err := p.read(name); got != want || err != nil {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
}

// TestDropHibernated is the same on a file as on a disk.
func TestDropHibernated(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	const offset = 3
	page := swaparea.New(1<<20, [16]byte{3}, "")
	disk := append(make([]byte, offset*4096), page...)
	asleep := slices.Clone(disk)
	hibernate(asleep[offset*4096:])
	if err := os.WriteFile(name, asleep, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(flag int) (rawDevice, error) { return openRaw(name, flag) }
	for _, want := range []bool{true, false} {
		if was, err := dropHibernated(open, offset); was != want || err != nil {
			t.Errorf("dropHibernated = %v, %v; want %v", was, err, want)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	copy(asleep[offset*4096+4086:], "SWAPSPACE2")
	if !slices.Equal(got, asleep) {
		t.Error("more was changed than the signature")
	}
	for _, beyond := range []int64{-1, offset + 1, maxPage} {
		if _, err := dropHibernated(open, beyond); err == nil || !strings.Contains(err.Error(), "beyond the end") {
			t.Errorf("dropHibernated at %d = %v; want an error", beyond, err)
		}
	}
	if _, err := openRaw(name+"x", os.O_RDONLY); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("openRaw of nothing = %v", err)
	}
}

func TestReadVariable(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "variable")
	if err := os.WriteFile(name, make([]byte, maxLocation+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if raw, err := readVariable(name); err != nil || len(raw) != maxLocation {
		t.Errorf("readVariable = %d bytes, %v; want %d", len(raw), err, maxLocation)
	}
	for _, absent := range []func() error{
		func() error { _, err := readVariable(name + "x"); return err },
		func() error { _, err := readLocation(filepath.Join(dir, "efivars"), nil); return err },
	} {
		if err := absent(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a variable that is not there: %v; want fs.ErrNotExist", err)
		}
	}
	load := func(string) error { return errors.New("invalid module format") }
	l := startLoader([]Module{{Name: "efivarfs", Path: "/efivarfs.ko"}}, 1, load)
	if _, err := readLocation(dir, l); err == nil || !strings.Contains(err.Error(), "module efivarfs: invalid module format") {
		t.Errorf("readLocation without the module: %v", err)
	}
}
