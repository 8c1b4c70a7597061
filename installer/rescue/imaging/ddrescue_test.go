package imaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// failing is a disk in a file of which we fail to read some sectors.
type failing struct {
	*Disk
	bad *badDisk
}

func (f failing) ReadAt(p []byte, at int64) (int, error) { return f.bad.ReadAt(p, at) }

// files makes a disk in a file, and names for an image and a map.
func files(t *testing.T, bad ...int64) (from failing, name, image, mapFile string) {
	t.Helper()
	dir := t.TempDir()
	name, image, mapFile = filepath.Join(dir, "disk"), filepath.Join(dir, "image"), filepath.Join(dir, "map")
	d := newBadDisk(size, bad...)
	check(t, os.WriteFile(name, d.data, 0o600))
	disk, err := Open(name)
	check(t, err)
	t.Cleanup(func() { disk.Close() })
	return failing{disk, d}, name, image, mapFile
}

// toFile copies what we can.
func toFile(t *testing.T, from failing, image, mapFile string) *Report {
	t.Helper()
	p, err := ToFile(from.Disk, image, mapFile, "")
	check(t, err)
	report, err := Copy(t.Context(), Request{Source: from, Target: p.Target, Map: p.Map, Begin: p.begin, Save: p.Save})
	check(t, err, p.Close())
	return report
}

func equal(t *testing.T, a, b string) {
	t.Helper()
	one, err := os.ReadFile(a)
	check(t, err)
	two, err := os.ReadFile(b)
	check(t, err)
	if !bytes.Equal(one, two) {
		t.Errorf("%s and %s differ", a, b)
	}
}

func ddrescue(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// TestDdrescueGoesOn has ddrescue read what we could not.
func TestDdrescueGoesOn(t *testing.T) {
	imgtest.Need(t, "ddrescue", "ddrescuelog")
	from, name, image, mapFile := files(t, 3, 4, 255, 256, 300, sectors-1)
	report := toFile(t, from, image, mapFile)
	if report.BadCount != 4 || report.Bad != 5*sector+100 {
		t.Fatalf("report: %+v", report)
	}
	status := ddrescue(t, "ddrescuelog", "--show-status", mapFile)
	if !strings.Contains(status, "bad-sector:     2660 B,  in      4 area(s)") || !strings.Contains(status, "current status: finished") {
		t.Errorf("ddrescue understands the map so:\n%s", status)
	}
	ddrescue(t, "ddrescue", "--retry-passes=1", name, image, mapFile)
	equal(t, name, image)
	ddrescue(t, "ddrescuelog", "--done-status", mapFile)
}

// TestGoesOnAfterDdrescue stops ddrescue half way, and goes on with its map.
func TestGoesOnAfterDdrescue(t *testing.T) {
	imgtest.Need(t, "ddrescue", "ddrescuelog")
	from, name, image, mapFile := files(t, 300, 301)
	ddrescue(t, "ddrescue", "--size=100000", name, image, mapFile)
	report := toFile(t, from, image, mapFile)
	if report.Bad != 2*sector || from.bad.calls > 10+2+blockSize/sector {
		t.Errorf("%d reads, report: %+v", from.bad.calls, report)
	}
	ddrescue(t, "ddrescue", "--retry-passes=1", name, image, mapFile)
	equal(t, name, image)
}

// TestDdrescueInEachState has ddrescue take over after each of our steps.
func TestDdrescueInEachState(t *testing.T) {
	imgtest.Need(t, "ddrescue")
	from, name, image, mapFile := files(t, 3, 255, 256, 300, 302)
	seen := map[Position]bool{}
	p, err := ToFile(from.Disk, image, mapFile, "")
	check(t, err)
	defer p.Close()
	_, err = Copy(t.Context(), Request{Source: from, Target: p.Target, Map: p.Map, Begin: p.begin, Retries: 2, Every: 1, Save: func(text []byte) error {
		now := p.Map.Position
		now.At = 0
		if !seen[now] {
			seen[now] = true
			data, err := os.ReadFile(image)
			check(t, err, os.WriteFile(image+".then", data, 0o600), os.WriteFile(mapFile+".then", text, 0o600))
			ddrescue(t, "ddrescue", "--retry-passes=4", name, image+".then", mapFile+".then")
			equal(t, name, image+".then")
		}
		return p.Save(text)
	}})
	check(t, err)
	if len(seen) != 7 {
		t.Errorf("states seen: %v; want 7", seen)
	}
}
