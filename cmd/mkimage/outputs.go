package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// The formats of an image.
const (
	formatRaw   = "raw"
	formatZstd  = "raw.zst"
	formatQcow2 = "qcow2"
)

var formats = []string{formatRaw, formatZstd, formatQcow2}

// formatSuffix is what the name of an image ends in when none is given.
var formatSuffix = map[string]string{formatRaw: ".img", formatZstd: ".img.zst", formatQcow2: ".qcow2"}

// billSuffix is what the name of the bill of materials ends in.
const billSuffix = ".spdx.json"

// outputs are the files of one build. None has its name before publish gives
// it to all of them, the image last: where there is an image, all is there.
type outputs struct {
	image  *output
	format string
	lock   string    // name of the lock file
	files  []*output // beside the image, in the order in which they are published
	temp   *os.File  // the raw image while another format is made, without a name

	allocated int64 // bytes that the image takes on the host's disk, once it is published
}

// openOutputs checks that everything can be written that a build of a profile
// makes, and begins the image.
func (f *buildFlags) openOutputs(profile string, mode fs.FileMode) (*outputs, error) {
	lock := f.lockName(profile)
	const besides = "remove it, or name another output"
	for _, file := range []struct{ name, hint string }{
		{f.output, "name a file in it: -o " + shellWord(filepath.Join(f.output, profile+formatSuffix[f.format]))},
		{f.output + manifest.Suffix, besides},
		{f.output + billSuffix, besides},
		{lock, "name a file in it: --lock " + shellWord(filepath.Join(lock, profile+lockSuffix))},
	} {
		if err := checkOutput(file.name, file.hint); err != nil {
			return nil, err
		}
	}
	if err := checkApart(f.output, lock); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("qemu-img"); f.format == formatQcow2 && err != nil {
		return nil, fault.New(fault.Input, "apt-get install qemu-utils, or use --format raw", "qemu-img: not found, and only it writes qcow2")
	}
	img, err := createOutput(f.output, 0, mode)
	if err != nil {
		return nil, err
	}
	return &outputs{image: img, format: f.format, lock: lock}, nil
}

// checkApart refuses a lock file that would take the place of a file of the
// image, complete or not.
func checkApart(image, lock string) error {
	taken := map[string]bool{}
	for _, name := range []string{image, image + manifest.Suffix, image + billSuffix} {
		abs, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		taken[abs], taken[abs+partialSuffix] = true, true
	}
	abs, err := filepath.Abs(lock)
	if err != nil {
		return err
	}
	if taken[abs] || taken[abs+partialSuffix] {
		return fault.New(fault.Usage, "", "--lock %s: is also a file of the image; name another", lock)
	}
	return nil
}

// raw returns what the raw image is written to: the image itself, or a file
// without a name beside it, which the end of the run removes, whatever ends it.
func (o *outputs) raw() (*output, error) {
	if o.format == formatRaw {
		return o.image, nil
	}
	fd, err := unix.Open(filepath.Dir(o.image.name), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fault.New(fault.Target, "name an output on another file system, or use --format raw",
			"%s: a temporary file: %w", filepath.Dir(o.image.name), err)
	}
	o.temp = os.NewFile(uintptr(fd), o.image.name+" (raw)")
	return &output{name: o.image.name, file: o.temp, done: true, early: early{file: o.temp}}, nil
}

// convert makes the image of the raw one.
func (o *outputs) convert(ctx context.Context, progress builder.Progress, raw *output, size int64, workers int) error {
	switch o.format {
	case formatZstd:
		report := func(done, total int64) { progress.Report(builder.StageConvert, done, total) }
		return image.Compress(ctx, spaceHinter{o.image.file}, raw.file, size, workers, report)
	case formatQcow2:
		progress.Report(builder.StageConvert, 0, 0)
		return qemuConvert(ctx, raw.file, o.image.file.Name())
	}
	return nil
}

// spaceHinter says what to do when the disk is full.
type spaceHinter struct{ io.Writer }

// Write implements io.Writer.
func (w spaceHinter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	return n, spaceHint(err)
}

// qemuConvert writes a raw image as qcow2, by the program that defines the
// format. It ends with this one, even by SIGKILL: it would go on to write a file
// that the next run believes to be its own.
func qemuConvert(ctx context.Context, raw *os.File, name string) error {
	// The kernel sends the signal when the thread that forked ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	name, err := filepath.Abs(name) // "lap:1" would be of the protocol lap, "-x" an option
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "/proc/self/fd/3", name)
	cmd.ExtraFiles = []*os.File{raw}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("qemu-img: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// writeFile writes a file beside the image.
func (o *outputs) writeFile(name string, data []byte) error {
	f, err := createOutput(name, int64(len(data)), modePlain)
	if err != nil {
		return err
	}
	o.files = append(o.files, f)
	_, err = f.WriteAt(data, 0)
	return err
}

// writeLock writes the lock of a source that has one and returns its digest.
func (o *outputs) writeLock(lock *source.Lock) (digest string, err error) {
	if lock == nil {
		return "", nil
	}
	data, err := lock.Encode()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data)), o.writeFile(o.lock, data)
}

// publish brings all files to the disk, then gives them their names: what can
// fail has failed before the first is there.
func (o *outputs) publish() error {
	all := slices.Concat(o.files, []*output{o.image})
	for _, f := range all {
		if err := f.file.Sync(); err != nil {
			return spaceHint(err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(o.image.file.Fd()), &st); err != nil {
		return fmt.Errorf("%s: %w", o.image.name, err)
	}
	o.allocated = 512 * st.Blocks // stat(2) counts in these
	for _, f := range all {
		if err := f.rename(); err != nil {
			return err
		}
	}
	return nil
}

// names returns the names of all files, the image first.
func (o *outputs) names() []string {
	names := []string{o.image.name}
	for _, f := range o.files {
		names = append(names, f.name)
	}
	return names
}

// discard removes what was not published.
func (o *outputs) discard() {
	for _, f := range append(o.files, o.image) {
		_ = f.discard()
	}
	if o.temp != nil {
		_ = o.temp.Close()
	}
}
