package qemutests

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// rawDisk is the file of a disk that a guest writes into itself, so that the
// host sees at any time what the guest's disk holds.
type rawDisk string

// copyTo makes a disk of the given size, or of its own when that is 0, with the
// same content. Holes stay holes.
func (d rawDisk) copyTo(t testing.TB, name string, size int64) rawDisk {
	t.Helper()
	command(t, "cp", "--sparse=always", string(d), name)
	if size > 0 {
		check(t, os.Truncate(name, size))
	}
	return rawDisk(name)
}

// partition returns a partition by its number.
func (d rawDisk) partition(t testing.TB, number int) gpt.Partition {
	t.Helper()
	f, err := os.Open(string(d))
	check(t, err)
	defer f.Close()
	info, err := f.Stat()
	check(t, err)
	table, problems, err := gpt.Read(f, info.Size())
	check(t, err)
	for _, p := range problems {
		t.Errorf("partition table of %s: %v", d, p)
	}
	for _, p := range table.Partitions {
		if p.Number == number {
			return p
		}
	}
	t.Fatalf("%s: no partition %d", d, number)
	return gpt.Partition{}
}

// The partitions of an image.
const (
	espNumber  = 1
	rootNumber = 2
)

// swapfile is what mkimage map-swapfile says of a disk.
type swapfile struct {
	Size         int64  `json:"size"`
	ResumeOffset int64  `json:"resume_offset"`
	Fragments    int    `json:"fragments"`
	Signature    string `json:"signature"`
}

func (d rawDisk) swapfile(t *testing.T) (s swapfile) {
	t.Helper()
	out := command(t, builtMkimage(t), "map-swapfile", "--json", string(d))
	check(t, json.Unmarshal([]byte(out), &s))
	return s
}

// mustBe compares offset and signature of the swapfile.
func (d rawDisk) mustBe(t *testing.T, offset, signature string) {
	t.Helper()
	s := d.swapfile(t)
	if got := strconv.FormatInt(s.ResumeOffset, 10); got != offset || s.Signature != signature {
		t.Errorf("mkimage map-swapfile: offset %s, signature %q; want %s, %q", got, s.Signature, offset, signature)
	}
}

// editHeader changes the first page of the swapfile.
func (d rawDisk) editHeader(t *testing.T, edit func(page []byte)) {
	t.Helper()
	at := d.partition(t, rootNumber).Start + d.swapfile(t).ResumeOffset*swaparea.PageSize
	f, err := os.OpenFile(string(d), os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	page := make([]byte, swaparea.PageSize)
	_, err = f.ReadAt(page, at)
	check(t, err)
	edit(page)
	_, err = f.WriteAt(page, at)
	check(t, err)
}

// loseImage makes the header of a hibernated system point behind all swap
// space. The kernel's struct swsusp_header (kernel/power/swap.c) ends with the
// sector of the image, 4 bytes of flags and two signatures of 10 bytes.
func loseImage(page []byte) { binary.LittleEndian.PutUint64(page[len(page)-32:], 1<<40) }

// loseArea overwrites what mkswap wrote, but for the signature.
func loseArea(page []byte) { clear(page[1024:1100]) }

// loseAll leaves nothing of a header.
func loseAll(page []byte) { clear(page) }

// firstEntry is the entry of the menu that is booted when nobody chooses.
const firstEntry = "/loader/entries/mkimage-bandit-minimal.conf"

// esp names the ESP for mtools.
func (d rawDisk) esp(t *testing.T) string {
	t.Helper()
	return string(d) + "@@" + strconv.FormatInt(d.partition(t, espNumber).Start, 10)
}

func (d rawDisk) fromESP(t *testing.T, path, file string) {
	t.Helper()
	command(t, "mcopy", "-i", d.esp(t), "::"+path, file)
}

// firstEntry returns what the first entry starts, as paths on the ESP.
func (d rawDisk) firstEntry(t *testing.T) (direct Direct) {
	t.Helper()
	for line := range strings.Lines(d.readEntry(t)) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch value = strings.TrimSpace(value); word {
		case "linux":
			direct.Kernel = value
		case "initrd":
			direct.Initrd = value
		case "options":
			direct.Cmdline = value
		}
	}
	return direct
}

func (d rawDisk) readEntry(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "entry.conf")
	d.fromESP(t, firstEntry, file)
	text, err := os.ReadFile(file)
	check(t, err)
	return string(text)
}

// kernel copies what the first entry starts to the host.
func (d rawDisk) kernel(t *testing.T) Direct {
	t.Helper()
	direct, dir := d.firstEntry(t), t.TempDir()
	for _, file := range []*string{&direct.Kernel, &direct.Initrd} {
		to := filepath.Join(dir, filepath.Base(*file))
		d.fromESP(t, *file, to)
		*file = to
	}
	return direct
}

// bootWith adds words to the command line of the first entry.
func (d rawDisk) bootWith(t *testing.T, words string) {
	t.Helper()
	before, after, ok := strings.Cut(d.readEntry(t), "\noptions ")
	if !ok {
		t.Fatalf("entry without options: %q", before)
	}
	file := filepath.Join(t.TempDir(), "entry.conf")
	check(t, os.WriteFile(file, []byte(before+"\noptions "+words+" "+after), 0o644))
	command(t, "mcopy", "-o", "-i", d.esp(t), file, "::"+firstEntry)
}

// loop makes the root partition a device that is only read, until detach is
// called.
func (d rawDisk) loop(t *testing.T) (device string, detach func()) {
	t.Helper()
	p := d.partition(t, rootNumber)
	device = command(t, "losetup", "--find", "--show", "--read-only", "--offset", strconv.FormatInt(p.Start, 10), "--sizelimit", strconv.FormatInt(p.Size, 10), string(d))
	return device, func() { command(t, "losetup", "--detach", device) }
}

// builtOffset makes sure that the manifest of an image, mkimage map-swapfile and
// the host's kernel agree on where its swapfile is.
func (d rawDisk) builtOffset(t *testing.T) {
	t.Helper()
	m, err := manifest.ReadFile(string(d) + ".manifest.json")
	check(t, err)
	offset := strconv.FormatInt(m.Swapfile.ResumeOffset, 10)
	d.mustBe(t, offset, swapSignature)
	dir := t.TempDir()
	device, detach := d.loop(t)
	defer detach()
	command(t, "mount", "-o", "ro,subvolid=5", device, dir)
	defer command(t, "umount", dir)
	if got := command(t, "btrfs", "inspect-internal", "map-swapfile", "-r", filepath.Join(dir, m.Swapfile.Path)); got != offset {
		t.Errorf("btrfs inspect-internal map-swapfile: offset %s; want %s, as the manifest has it", got, offset)
	}
}

// intact makes sure that the file system of a machine that is off has no error.
func (d rawDisk) intact(t *testing.T) {
	t.Helper()
	imgtest.NeedRoot(t)
	device, detach := d.loop(t)
	defer detach()
	imgtest.BtrfsCheck(t, device, "original")
	command(t, "sgdisk", "--verify", string(d))
}
