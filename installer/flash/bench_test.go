package flash_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// bench is an image of 4 GiB, 1.5 of them in use, and a disk for it.
type bench struct {
	*system
	bmap   string
	device string
}

func newBench(b *testing.B) *bench {
	b.Helper()
	imgtest.NeedRoot(b)
	imgtest.Need(b, "losetup", "dd", "bmaptool")
	dir := b.TempDir()
	var files []systemFile
	for i := range 24 {
		files = append(files, systemFile{fmt.Sprint("file", i), noise(byte(i), 60*mib)})
	}
	f := &bench{system: newSystem(b, dir, 512*mib, 2000*mib, 64*mib, files...), bmap: filepath.Join(dir, "bmap")}
	command(b, "bmaptool", "create", "-o", f.bmap, f.name)
	disk := filepath.Join(dir, "disk")
	file, err := os.Create(disk)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(f.table.DiskSize); err != nil {
		b.Fatal(err)
	}
	f.device = command(b, "losetup", "--find", "--show", disk)
	b.Cleanup(func() { command(b, "losetup", "--detach", f.device) })
	return f
}

func command(b testing.TB, args ...string) string {
	b.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		b.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// write writes the image as the command does, and returns how long it took.
func (f *bench) write(b testing.TB, name string, o flash.Options) (time.Duration, *flash.Result) {
	b.Helper()
	began := time.Now()
	d, err := flash.OpenDevice(f.device, false)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	s, err := flash.Open(b.Context(), name)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	p, err := flash.NewPlan(b.Context(), s, d.Size, d.SectorSize, o)
	if err != nil {
		b.Fatal(err)
	}
	result, err := p.Write(b.Context(), d.Disk, builder.Silent{})
	if err != nil {
		b.Fatal(err)
	}
	return time.Since(began), result
}

// BenchmarkWrite writes an image in turn with dd, with bmaptool, and with its
// manifest by this package, which reads it back. All three end with fsync.
func BenchmarkWrite(b *testing.B) {
	f := newBench(b)
	b.SetBytes(f.table.DiskSize)
	var dd, bmap, own time.Duration
	for b.Loop() {
		dd += f.timed(b, "dd", "if="+f.name, "of="+f.device, "bs=4M", "conv=fsync")
		bmap += f.timed(b, "bmaptool", "-q", "copy", "--bmap", f.bmap, f.name, f.device)
		t, _ := f.write(b, f.name, flash.Options{Manifest: f.manifest})
		own += t
		command(b, "sync")
	}
	b.ReportMetric(dd.Seconds()/float64(b.N), "s/dd")
	b.ReportMetric(bmap.Seconds()/float64(b.N), "s/bmaptool")
	b.ReportMetric(own.Seconds()/float64(b.N), "s/own")
	b.ReportMetric(own.Seconds()/dd.Seconds(), "of-dd")
	b.ReportMetric(own.Seconds()/bmap.Seconds(), "of-bmaptool")
}

func (f *bench) timed(b testing.TB, args ...string) time.Duration {
	began := time.Now()
	command(b, args...)
	took := time.Since(began)
	command(b, "sync")
	return took
}

// BenchmarkUpdate changes each twentieth chunk of the disk, and writes the image
// with and without Update.
func BenchmarkUpdate(b *testing.B) {
	f := newBench(b)
	var full, update time.Duration
	for b.Loop() {
		t, _ := f.write(b, f.name, flash.Options{Manifest: f.manifest})
		full += t
		f.soil(b)
		command(b, "sync")
		t, result := f.write(b, f.name, flash.Options{Manifest: f.manifest, Update: true})
		update += t
		if min, max := f.used()/21, f.used()/18; result.Written < min || result.Written > max {
			b.Fatalf("%+v: wrote %d bytes; want %d to %d", result, result.Written, min, max)
		}
	}
	b.ReportMetric(full.Seconds()/float64(b.N), "s/full")
	b.ReportMetric(update.Seconds()/float64(b.N), "s/update")
	b.ReportMetric(update.Seconds()/full.Seconds(), "of-full")
}

func (f *bench) used() (n int64) {
	for _, c := range f.manifest.Chunks {
		n += c.Length
	}
	return n
}

// soil changes each twentieth chunk that the image uses.
func (f *bench) soil(b testing.TB) {
	d, err := os.OpenFile(f.device, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for i, c := range f.manifest.Chunks {
		if i%20 == 10 {
			if _, err := d.WriteAt([]byte("changed"), c.Offset+4096); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := d.Sync(); err != nil {
		b.Fatal(err)
	}
}
