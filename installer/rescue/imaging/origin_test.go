package imaging

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestOriginInMap(t *testing.T) {
	for _, o := range []Origin{
		{}, {Size: 8}, {Size: 8, Serial: "WD-1 # \"x\"\n", WWID: "naa.5\xff"}, {Size: 8, Start: 1 << 20, Serial: "a=b c"}, {Size: 8, File: "диск.img"},
	} {
		m := NewMap(8)
		m.Origin = o
		got, err := DecodeMap(m.Encode(), 8)
		check(t, err)
		if diff := cmp.Diff(o, got.Origin, cmpopts.IgnoreUnexported(Origin{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestDecodeOrigin(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Origin
		err      string
	}{
		{"a name of later", "# Source: bytes=8 model=\"x y\" serial=\"a\"\r\n", Origin{Size: 8, Serial: "a"}, ""},
		{"no quotes", "# Source:  serial=a  bytes=8", Origin{Size: 8, Serial: "a"}, ""},
		{"no size", "# Source: serial=\"a\"", Origin{}, "says no size"},
		{"size 0", "# Source: bytes=0", Origin{}, `bytes="0" of the source is no number above 0`},
		{"no number", "# Source: bytes=8 start=x", Origin{}, `start="x"`},
		{"no value", "# Source: bytes=8 serial", Origin{}, `has "serial", expected name=value`},
		{"another size", "# Source: bytes=9", Origin{}, "line 1: it is of a disk of 9 bytes, found 8"},
		{"a command of ddrescue", "# Command line: ddrescue # Source: bytes=9", Origin{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := DecodeMap([]byte(tt.in+"\n0 ? 1\n"), 8)
			if tt.err != "" {
				if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v; want %s", err, tt.err)
				}
				return
			}
			check(t, err)
			if m.Origin != tt.want {
				t.Errorf("%+v; want %+v", m.Origin, tt.want)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	disk := Origin{Size: 8, Serial: "A", WWID: "naa.1", name: "sdb"}
	for _, tt := range []struct {
		name       string
		was, found Origin
		same       string
		want       string // "" is no error
	}{
		{"of ddrescue", Origin{}, disk, "", ""},
		{"the same", disk, disk, "", ""},
		{"another WWID alone", disk, Origin{Size: 8, Serial: "A", WWID: "naa.2"}, "", ""},
		{"another serial number alone", disk, Origin{Size: 8, Serial: "B", WWID: "naa.1"}, "", ""},
		{"another disk", disk, Origin{Size: 8, Serial: "B", WWID: "naa.2"}, "", "the serial number A, found B"},
		{"a disk that tells nothing", disk, Origin{Size: 8}, "", "the serial number A, found none"},
		{"a map that tells nothing", Origin{Size: 8}, disk, "", ""},
		{"another WWID, no serial number", Origin{Size: 8, WWID: "naa.1"}, Origin{Size: 8, WWID: "naa.2"}, "", "the WWID naa.1, found naa.2"},
		{"another partition", disk, Origin{Size: 8, Serial: "A", Start: 512}, "", "begins at byte 0 of the disk, found 512"},
		{"another file", Origin{Size: 8, File: "a"}, Origin{Size: 8, File: "b"}, "", "the file a, found b"},
		{"a disk, not a file", Origin{Size: 8, File: "a"}, disk, "", "the file a, found none"},
		{"another disk, with consent", disk, Origin{Size: 8, Serial: "B"}, "B", ""},
		{"another partition, with consent", disk, Origin{Size: 8, Serial: "B", Start: 512}, "B", "begins at byte 0 of the disk, found 512"},
		{"a disk, not a file, with consent", Origin{Size: 8, File: "a"}, disk, "A", ""},
		{"consent by name", disk, Origin{Size: 8, name: "sdc"}, "sdc", ""},
		{"consent for another", disk, Origin{Size: 8, Serial: "B"}, "A", `--same-disk says "A", the disk that is read is "B"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.was.judge(tt.found, tt.same)
			if tt.want == "" {
				check(t, err)
			} else if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(fault.HintOf(err), "--same-disk "+tt.found.Word()) == (tt.same != "" && tt.same == tt.found.Word()) {
				t.Errorf("%v, hint %s; want %s", err, fault.HintOf(err), tt.want)
			}
		})
	}
}

func TestSamples(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []Part
	}{
		{"nothing", "0 ? 1\n0 64 -\n", nil},
		{"one byte", "0 ? 1\n0 9 -\n9 1 +\n", []Part{{9, 1, Rescued}}},
		{"parts of blocks", "0 ? 1\n0 3 +\n3 4 -\n7 3 +\n", []Part{{0, 3, Rescued}, {7, 1, Rescued}, {8, 2, Rescued}}},
		{"all", "0 ? 1\n0 10 +\n", []Part{{0, 4, Rescued}, {4, 4, Rescued}, {8, 2, Rescued}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := DecodeMap([]byte(tt.in), 64)
			check(t, err)
			if diff := cmp.Diff(tt.want, m.samples(4)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	const large = 1<<63 - 1
	m := NewMap(large)
	m.set(0, large, Rescued)
	list := m.samples(blockSize)
	if last := list[len(list)-1]; len(list) != sampled || list[0].Start != 0 || last.end() != large {
		t.Errorf("%d samples, the last to %d; want %d to the end", len(list), last.end(), sampled)
	}
}

// TestOtherTarget goes on with the target of another disk: before anything is
// written that is refused, unless it is to be trusted.
func TestOtherTarget(t *testing.T) {
	for _, at := range []int64{-1, 0, blockSize + 7, size - 1} {
		j := &job{from: newBadDisk(size, 3), to: newMemory(size)}
		report, err := j.copy(t.Context())
		check(t, err)
		check(t, j.done(report))
		if at >= 0 {
			j.to.cache[at]++
		}
		j.to.calls, j.calls = 0, 0
		report, err = j.copy(t.Context())
		if at < 0 {
			check(t, err)
			check(t, j.done(report))
			continue
		}
		if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "holds other bytes than the disk") || j.to.calls+j.calls != 0 {
			t.Errorf("byte %d: %v after %d calls of the target and %d maps", at, err, j.to.calls, j.calls)
		}
		j.trust = true
		_, err = j.copy(t.Context())
		check(t, err)
	}
}

// TestSameDisk goes on with a disk that a person has named: a minority of what is
// compared may have been written to since.
func TestSameDisk(t *testing.T) {
	const blocks = sampled
	for _, tt := range []struct {
		name          string
		zeros, differ int // blocks
		bad           int // blocks that the disk cannot read any more
		refused       bool
		want          Compared
	}{
		{"nothing differs", 0, 0, 0, false, Compared{16, 16, 0, 16}},
		{"one less than half", 0, 7, 0, false, Compared{16, 16, 7, 9}},
		{"half", 0, 8, 0, false, Compared{16, 16, 8, 8}},
		{"one more than half", 0, 9, 0, true, Compared{16, 16, 9, 7}},
		{"half of what is no zeros", 10, 3, 0, false, Compared{16, 16, 3, 3}},
		{"more than half of what is no zeros", 10, 4, 0, true, Compared{16, 16, 4, 2}},
		{"all zeros", 16, 0, 0, false, Compared{16, 16, 0, 0}},
		{"some cannot be read", 0, 2, 3, false, Compared{16, 13, 2, 11}},
		{"none can be read", 0, 0, 16, false, Compared{16, 0, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := newBadDisk(blocks*blockSize), newMemory(blocks*blockSize)
			clear(from.data[(blocks-tt.zeros)*blockSize:])
			copy(to.cache, from.data)
			for b := range tt.differ {
				to.cache[b*blockSize+1]++
			}
			for b := range tt.bad { // from the end
				for s := range int64(blockSize / sector) {
					from.bad[int64(blocks-1-b)*blockSize/sector+s] = true
				}
			}
			m := NewMap(blocks * blockSize)
			m.set(0, m.Size(), Rescued)
			var got []Compared
			run := func(trust bool) error {
				_, err := Copy(t.Context(), Request{Source: from, Target: to, Map: m, Save: func([]byte) error { return nil }, Trust: trust, Compared: func(k Compared) { got = append(got, k) }})
				return err
			}
			if err := run(false); (err != nil) != (tt.differ > 0) || err != nil && strings.Contains(fault.HintOf(err), "--same-disk") == tt.refused {
				t.Errorf("without consent: %v, hint %s", err, fault.HintOf(err))
			}
			got = nil
			err := run(true)
			if tt.refused {
				if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want.String()) || strings.Contains(fault.HintOf(err), "--same-disk") || to.calls > 0 {
					t.Errorf("%v, hint %s; want a refusal", err, fault.HintOf(err))
				}
				return
			}
			if diff := cmp.Diff([]Compared{tt.want}, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if got := (Compared{16, 13, 2, 11}).String(); got != "13 of 16 blocks compared, 2 differ" {
		t.Error(got)
	}
}

// TestSameDiskUnproved keeps what the map says of its disk where nothing shows that it is
// this one.
func TestSameDiskUnproved(t *testing.T) {
	for _, zeros := range []bool{true, false} {
		from, name, image, mapFile := files(t)
		data := make([]byte, size)
		if !zeros {
			data = from.bad.data
		}
		check(t, os.WriteFile(name, data, 0o600), os.WriteFile(image, data, 0o600), os.WriteFile(mapFile, []byte("# Source: bytes=262756 file=\"other\"\n0 ? 1\n0 131072 +\n131072 131684 ?\n"), 0o600))
		p, err := ToFile(from.Disk, image, mapFile, "disk")
		check(t, err)
		_, err = p.Copy(t.Context(), from.Disk, 0, nil)
		check(t, err, p.Close())
		text, err := os.ReadFile(mapFile)
		if check(t, err); strings.Contains(string(text), `file="other"`) != zeros {
			t.Errorf("zeros %v: the map is now\n%s", zeros, text)
		}
	}
}

// TestMapOfAnother has the map of another disk, and images that are too short.
func TestMapOfAnother(t *testing.T) {
	const half = blockSize
	begun := "0 ? 1\n0 131072 +\n131072 131684 ?\n"
	for _, tt := range []struct {
		name, mapFile string
		image         int64
		same          string
		class         fault.Class
		want          string // "" goes on
	}{
		{"another file", "# Source: bytes=262756 file=\"other\"\n" + begun, size, "", fault.Input, "is of the file other, found disk"},
		{"another size", "# Source: bytes=262757 file=\"disk\"\n" + begun, size, "", fault.Input, "is of a disk of 262757 bytes, found 262756"},
		{"consent", "# Source: bytes=262756 file=\"other\"\n" + begun, size, "disk", 0, ""},
		{"consent for another", begun, size, "other", fault.Usage, `--same-disk says "other"`},
		{"this one", "# Source: bytes=262756 file=\"disk\"\n" + begun, size, "", 0, ""},
		{"an empty image", begun, 0, "", fault.Target, "has 0 bytes"},
		{"one byte too short", begun, half - 1, "", fault.Target, "or at least the 131072 that"},
		{"as long as what is rescued", begun, half, "", 0, ""},
		{"one byte more", begun, half + 1, "", 0, ""},
		{"longer than the disk", begun, size + 1, "", fault.Target, "has 262757 bytes, expected 262756"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, name, image, mapFile := files(t)
			data, err := os.ReadFile(name)
			check(t, err, os.WriteFile(image, data[:half], 0o600), os.Truncate(image, tt.image), os.WriteFile(mapFile, []byte(tt.mapFile), 0o600))
			p, err := ToFile(from.Disk, image, mapFile, tt.same)
			if tt.want != "" {
				if p != nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
					t.Errorf("class %d, %v", fault.ClassOf(err), err)
				}
			} else {
				check(t, err)
				_, err = p.Copy(t.Context(), from.Disk, 0, nil)
				check(t, err, p.Close())
				equal(t, name, image)
			}
			left, err := os.ReadFile(mapFile)
			if check(t, err); tt.want != "" && string(left) != tt.mapFile || tt.want == "" && !strings.Contains(string(left), `# Source: bytes=262756 file="disk"`) {
				t.Errorf("the map is now\n%s", left)
			}
		})
	}
}

// TestRefusedLeavesAll goes on with a map of ddrescue and an image of another disk:
// neither is changed.
func TestRefusedLeavesAll(t *testing.T) {
	from, _, image, mapFile := files(t)
	begun := "0 ? 1\n0 512 +\n"
	check(t, os.WriteFile(image, []byte(strings.Repeat("x", 1000)), 0o600), os.WriteFile(mapFile, []byte(begun), 0o600))
	p, err := ToFile(from.Disk, image, mapFile, "")
	check(t, err)
	defer p.Close()
	if _, err = p.Copy(t.Context(), from.Disk, 0, nil); fault.ClassOf(err) != fault.Target || !strings.Contains(fault.HintOf(err), "another map to begin anew") {
		t.Errorf("%v, hint %s", err, fault.HintOf(err))
	}
	info, err := os.Stat(image)
	check(t, err)
	if text, err := os.ReadFile(mapFile); err != nil || string(text) != begun || info.Size() != 1000 {
		t.Errorf("the image has %d bytes now, and the map is %q: %v", info.Size(), text, err)
	}
}
