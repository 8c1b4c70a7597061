package imaging

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

func TestOpenRefused(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600), unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for _, tt := range []struct{ name, want string }{
		{"missing", "no such file"}, {"empty", "has a size of 0 bytes"}, {"fifo", "is neither a disk nor a file"}, {".", "is neither a disk nor a file"}, {"/dev/null", "is neither"},
	} {
		name := tt.name
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if d, err := Open(name); d != nil || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%s): %v", tt.name, err)
		}
	}
}

func TestSectorOf(t *testing.T) {
	for _, tt := range []struct {
		logical, physical int64
		shift             int
		want              int64
	}{{512, 512, 0, 512}, {512, 4096, 0, 4096}, {512, 4096, 3584, 512}, {4096, 4096, 0, 4096}, {512, 8192, 0, 512}, {4096, 512, 0, 4096}, {512, 1536, 0, 512}, {512, 4096, -1, 512}} {
		if got := sectorOf(tt.logical, tt.physical, tt.shift); got != tt.want {
			t.Errorf("sectorOf(%d, %d, %d) = %d; want %d", tt.logical, tt.physical, tt.shift, got, tt.want)
		}
	}
}

func TestToFileRefused(t *testing.T) {
	whole := string(NewMap(size).Encode())
	begun := "0 ? 1\n0 512 +\n"
	tests := []struct {
		name               string
		image, mapFile     string // what they hold; "" is nothing there
		imageName, mapName string
		class              fault.Class
		want               string
		kept               bool // what is in the image
	}{
		{name: "an image without a map", image: "precious", class: fault.Target, want: "is no map of it", kept: true},
		{name: "an image of another size", image: "precious", mapFile: whole, class: fault.Target, want: "is no map of it", kept: true},
		{name: "a full image and a map that knows nothing", image: strings.Repeat("x", size), mapFile: whole, class: fault.Target, want: "is no map of it", kept: true},
		{name: "a full image that ends in something", image: strings.Repeat("\x00", size-1) + "x", mapFile: whole, class: fault.Target, want: "is no map of it", kept: true},
		{name: "a map without its image", mapFile: begun, class: fault.Target, want: "no such file"},
		{name: "a map and an image of another size", image: "precious", mapFile: begun, class: fault.Target, want: "has 8 bytes, expected 262756", kept: true},
		{name: "no map", image: "", mapFile: "hello\n", class: fault.Input, want: "line 1"},
		{name: "one name", imageName: "x", mapName: "./x", class: fault.Usage, want: "is the image and the map"},
		{name: "no directory", imageName: "no/x", class: fault.Target, want: "no such file"},
		{name: "no directory of the map", mapName: "no/x", class: fault.Target, want: "no such file"},
		{name: "a directory", imageName: ".", class: fault.Target, want: "is a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, _, image, mapFile := files(t)
			dir := filepath.Dir(image)
			if tt.imageName != "" {
				image = filepath.Join(dir, tt.imageName)
			}
			if tt.mapName != "" {
				mapFile = dir + "/" + tt.mapName
			}
			if tt.image != "" {
				check(t, os.WriteFile(image, []byte(tt.image), 0o600))
			}
			if tt.mapFile != "" {
				check(t, os.WriteFile(mapFile, []byte(tt.mapFile), 0o600))
			}
			p, err := ToFile(from.Disk, image, mapFile, "")
			if p != nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("class %d, %v", fault.ClassOf(err), err)
			}
			if data, err := os.ReadFile(image); tt.kept && (err != nil || string(data) != tt.image) {
				t.Errorf("the image holds %q now: %v", data, err)
			}
		})
	}
}

// TestToFileAgain begins with what a power cut may leave before a sector is read.
func TestToFileAgain(t *testing.T) {
	for _, left := range []int64{-1, 0, size} {
		from, name, image, mapFile := files(t)
		check(t, os.WriteFile(mapFile, NewMap(size).Encode(), 0o600))
		if left >= 0 {
			check(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, left))
		}
		if report := toFile(t, from, image, mapFile); report.Rescued != size {
			t.Errorf("%+v", report)
		}
		equal(t, name, image)
		if report := toFile(t, from, image, mapFile); report.Rescued != size || from.bad.calls > 6 {
			t.Errorf("once more: %+v, %d reads", report, from.bad.calls)
		}
	}
}

// TestToFileLeavesNothing: a start that fails makes neither a map nor an image, and none
// is made where a symlink leads.
func TestToFileLeavesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(image, mapFile string) error
		want string
	}{
		{"a symlink that leads nowhere", func(image, _ string) error { return os.Symlink(image+".elsewhere", image) }, "exists"},
		{"a directory in the way of the map", func(_, mapFile string) error { return os.MkdirAll(mapFile+"/x", 0o700) }, "expected a file"},
		{"a directory in the way of the map that is written", func(_, mapFile string) error {
			return os.MkdirAll(durable.Temporary(mapFile)+"/x", 0o700)
		}, "map: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, _, image, mapFile := files(t)
			check(t, tt.make(image, mapFile))
			before, err := filepath.Glob(filepath.Dir(image) + "/*")
			check(t, err)
			p, err := ToFile(from.Disk, image, mapFile, "")
			if p != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
			after, err := filepath.Glob(filepath.Dir(image) + "/*")
			if diff := cmp.Diff(before, after); err != nil || diff != "" {
				t.Errorf("%v, left (-before +after):\n%s", err, diff)
			}
		})
	}
}

// TestToFileEmpty begins with an image that a power cut has left without a map.
func TestToFileEmpty(t *testing.T) {
	from, name, image, mapFile := files(t)
	check(t, os.WriteFile(image, nil, 0o600))
	toFile(t, from, image, mapFile)
	equal(t, name, image)
}

func TestTwoRuns(t *testing.T) {
	from, _, image, mapFile := files(t)
	p, err := ToFile(from.Disk, image, mapFile, "")
	check(t, err)
	defer p.Close()
	if _, err := ToFile(from.Disk, image, mapFile, ""); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "another run") {
		t.Error(err)
	}
}

// loop makes a loop device of a file.
func loop(t *testing.T, name string) string {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup")
	out, err := exec.Command("losetup", "--find", "--show", name).CombinedOutput()
	if err != nil {
		t.Fatalf("losetup: %v: %s", err, out)
	}
	node := strings.TrimSpace(string(out))
	t.Cleanup(func() { check(t, exec.Command("losetup", "--detach", node).Run()) })
	return node
}

// blank makes a loop device of zeros.
func blank(t *testing.T, n int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "blank")
	check(t, os.WriteFile(name, nil, 0o600), os.Truncate(name, n))
	return loop(t, name)
}

var scan = disks.Scanner{Loop: true}

func describe(t *testing.T, node string) disks.Disk {
	t.Helper()
	d, err := scan.One(t.Context(), node)
	check(t, err)
	return d
}

// TestBadDevice reads a block device that the kernel fails to read in part: a disk
// in a file of btrfs with a wrong checksum.
func TestBadDevice(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs")
	dir := t.TempDir()
	outer := filepath.Join(dir, "outer")
	check(t, os.WriteFile(outer, nil, 0o600), os.Truncate(outer, 256<<20))
	if out, err := exec.Command("mkfs.btrfs", "-q", outer).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := newBadDisk(2 << 20)
	const mark = "the sector that will be bad"
	bad := [2]int64{40 * 4096, 300 * 4096}
	for _, at := range bad {
		copy(d.data[at:], mark)
	}
	m := imgtest.MountImage(t, outer, imgtest.MountOptions{})
	check(t, os.WriteFile(filepath.Join(m.Dir, "disk"), d.data, 0o600))
	m.Unmount(t)
	raw, err := os.ReadFile(outer)
	check(t, err)
	at := bytes.Index(raw, []byte(mark))
	raw[at]++
	raw[at+bytes.Index(raw[at:], []byte(mark))]++
	check(t, os.WriteFile(outer, raw, 0o600))

	m = imgtest.MountImage(t, outer, imgtest.MountOptions{Options: []string{"ro"}, Expect: []string{"csum failed", "errs: .* corrupt"}})
	from, err := Open(loop(t, filepath.Join(m.Dir, "disk")))
	check(t, err)
	defer from.Close()
	image := filepath.Join(dir, "image")
	p, err := ToFile(from, image, image+".map", "")
	check(t, err)
	report, err := p.Copy(t.Context(), from, 1, nil)
	check(t, err, p.Close())
	if report.BadCount != 2 || report.Bad != 2*4096 || report.BadParts[0].Start != bad[0] || report.BadParts[1].Start != bad[1] {
		t.Errorf("report: %+v; want %v to be bad", report, bad)
	}
	for _, at := range bad {
		clear(d.data[at : at+4096])
	}
	got, err := os.ReadFile(image)
	check(t, err)
	if !bytes.Equal(got, d.data) {
		t.Error("the image is not what can be read")
	}
}

func TestToDisk(t *testing.T) {
	_, name, _, mapFile := files(t)
	check(t, os.Truncate(name, 1<<20))
	from, err := Open(loop(t, name))
	check(t, err)
	defer from.Close()
	node := blank(t, 2<<20)
	check(t, os.WriteFile(node, bytes.Repeat([]byte("precious"), 1000), 0o600))
	chosen := describe(t, node)
	_, err = ToDisk(t.Context(), from, scan, chosen, flash.Consent{}, mapFile, "")
	if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "is not empty") || !strings.Contains(fault.HintOf(err), "--erase "+chosen.Name) {
		t.Fatalf("not empty: %v, %s", err, fault.HintOf(err))
	}
	p, err := ToDisk(t.Context(), from, scan, chosen, flash.Consent{Erase: chosen.Name}, mapFile, "")
	check(t, err)
	report, err := p.Copy(t.Context(), from, 0, nil)
	check(t, err, p.Close())
	if report.Rescued != 1<<20 {
		t.Errorf("%+v", report)
	}
	want, err := os.ReadFile(name)
	check(t, err)
	got, err := os.ReadFile(node)
	check(t, err)
	if !bytes.Equal(want, got[:len(want)]) {
		t.Error("the disk does not hold what was copied to it")
	}
}

func TestToDiskRefused(t *testing.T) {
	_, name, _, mapFile := files(t)
	check(t, os.Truncate(name, 1<<20))
	node := loop(t, name)
	from, err := Open(node)
	check(t, err)
	defer from.Close()
	small, good := describe(t, blank(t, 1<<20-512)), describe(t, blank(t, 1<<20))
	moved, sleeps, builtIn := good, good, good
	moved.Diskseq++
	sleeps.Contents = []disks.Content{{Type: "swsuspend", Hibernated: true}}
	builtIn.Bus = "nvme"
	for _, tt := range []struct {
		name  string
		disk  disks.Disk
		erase string
		want  string
	}{
		{"itself", describe(t, node), "", "is the disk that is read"},
		{"too small", small, "", "expected at least 1048576"},
		{"another by now", moved, "", "is not the disk that was chosen"},
		{"hibernated", sleeps, sleeps.Name, "a session sleeps on it"},
		{"built in", builtIn, "", "is not a removable disk"},
		{"consent for another", good, "sdz", `--erase says "sdz"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ToDisk(t.Context(), from, scan, tt.disk, flash.Consent{Erase: tt.erase}, mapFile, "")
			if p != nil || fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("class %d, %v", fault.ClassOf(err), err)
			}
		})
	}
	// What sleeps on the target of a copy that was begun came from the disk that is read.
	check(t, os.WriteFile(mapFile, []byte("0 ? 1\n0 512 +\n512 1048064 ?\n"), 0o600))
	p, err := ToDisk(t.Context(), from, scan, sleeps, flash.Consent{Erase: sleeps.Name}, mapFile, "")
	check(t, err)
	check(t, p.Close(), os.Remove(mapFile))
	held, err := os.OpenFile(good.Path, os.O_RDWR|unix.O_EXCL, 0)
	check(t, err)
	if _, err := ToDisk(t.Context(), from, scan, good, flash.Consent{}, mapFile, ""); !errors.Is(err, unix.EBUSY) {
		t.Errorf("in use: %v", err)
	}
	check(t, held.Close())
}

// TestOnItself has the image and the map on the disk that is read.
func TestOnItself(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs")
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	check(t, os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 256<<20))
	if out, err := exec.Command("mkfs.btrfs", "-q", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := imgtest.MountImage(t, disk, imgtest.MountOptions{})
	from, err := Open(m.Device)
	check(t, err)
	defer from.Close()
	for _, names := range [][2]string{{m.Dir + "/image", dir + "/map"}, {dir + "/image", m.Dir + "/map"}} {
		if _, err := ToFile(from, names[0], names[1], ""); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "is on the disk that is to be saved") {
			t.Errorf("%v: %v", names, err)
		}
	}
	for _, to := range []string{m.Dir, m.Dir + "/not/there"} {
		if err := Elsewhere(m.Device, to); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "is on the disk that is to be saved") {
			t.Errorf("%s: %v", to, err)
		}
		check(t, Elsewhere(disk, to), Elsewhere(m.Device, dir+"/not/there"))
	}
	left, err := filepath.Glob(m.Dir + "/*")
	if err != nil || len(left) > 0 {
		t.Errorf("%v: %v was written", err, left)
	}
}
