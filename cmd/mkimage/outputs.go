package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// billSuffix is what the name of the bill of materials ends in.
const billSuffix = ".spdx.json"

// outputs are the files of one build. None has its name before publish gives
// it to all of them, the image last: where there is an image, all is there.
type outputs struct {
	image *output
	lock  string    // name of the lock file
	files []*output // beside the image, in the order in which they are published
	temp  *os.File  // the raw image while another format is made, without a name

	allocated int64 // bytes that the image takes on the host's disk, once it is published
}

// openOutputs checks that all names can be written and begins the image.
func openOutputs(name, lock string) (*outputs, error) {
	for _, n := range []string{name + manifest.Suffix, name + billSuffix, lock} {
		if err := checkOutput(n); err != nil {
			return nil, err
		}
	}
	img, err := createOutput(name, 0)
	if err != nil {
		return nil, err
	}
	return &outputs{image: img, lock: lock}, nil
}

// raw returns what the raw image is written to: the image itself, or a file
// without a name beside it, which the end of the run removes, whatever ends it.
func (o *outputs) raw(format string) (*output, error) {
	if format == formatRaw {
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
func (o *outputs) convert(ctx context.Context, progress builder.Progress, format string, raw *output, size int64, workers int) error {
	switch format {
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
	cmd := exec.CommandContext(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "/proc/self/fd/3", name)
	cmd.ExtraFiles = []*os.File{raw}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fault.New(fault.Input, "apt-get install qemu-utils, or use --format raw", "qemu-img: not found, and only it writes qcow2")
	}
	if err != nil {
		return fmt.Errorf("qemu-img: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// writeFile writes a file beside the image.
func (o *outputs) writeFile(name string, data []byte) error {
	f, err := createOutput(name, int64(len(data)))
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

// publish brings all files to the disk and gives them their names.
func (o *outputs) publish() error {
	for _, f := range append(o.files, o.image) {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.file.Fd()), &st); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := f.publish(st.Size); err != nil {
			return err
		}
		o.allocated = 512 * st.Blocks // stat(2) counts in these; the image comes last
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
