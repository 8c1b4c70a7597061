package boot

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// TestFirstBootRefusals goes on with the small swapfile where the large one is
// not possible, and does not try again.
func TestFirstBootRefusals(t *testing.T) {
	tests := []struct {
		name   string
		size   string
		change func(*firstBoot)
		want   string
	}{
		{"no room", "ram", nil, "<4>swapfile @swap/swapfile: no room for 900.0 MiB (RAM by memory modules): *; it keeps its 1.0 MiB"},
		{"no size", "x", nil, `<4>swapfile @swap/swapfile: size "x": *`},
		{"panic", "ram", func(f *firstBoot) { f.ram = func() (int64, string, error) { panic("oh") } }, "<4>swapfile @swap/swapfile: panic: oh*"},
		{"not read back", "2097152", func(f *firstBoot) {
			f.open = func(int) (rawDevice, error) { return memory(make([]byte, mib)), nil }
		}, "<4>swapfile @swap/swapfile: *"},
		{"another read back", "2097152", func(f *firstBoot) {
			open := f.open
			f.open = func(flag int) (rawDevice, error) {
				d, err := open(flag)
				return otherUUID{d}, err
			}
		}, "<4>swapfile @swap/swapfile: header at offset *"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDisk(t, 600*mib)
			d.boot(test.size, 900*mib, test.change)
			b := bench{t: t, lines: d.lines[1:2]}
			b.wantLines(test.want)
			last := "<6>first boot finished"
			if test.name == "panic" || test.name == "another read back" {
				last = "<4>first boot not finished: the next boot tries again"
			}
			if len(d.lines) != 3 || d.lines[2] != last {
				t.Errorf("console:\n%s\nexpected three lines, the last %q", strings.Join(d.lines, "\n"), last)
			}
			if s := d.swap(); s.Size != mib {
				t.Errorf("swapfile of %d bytes; want %d as before", s.Size, mib)
			}
		})
	}
}

// otherUUID is a device on which every swapfile has another UUID.
type otherUUID struct{ rawDevice }

func (d otherUUID) ReadAt(p []byte, at int64) (int, error) {
	n, err := d.rawDevice.ReadAt(p, at)
	if bytes.HasSuffix(p, []byte(swaparea.Signature)) {
		copy(p, swaparea.New(2*mib, ids.UUID{1}, ""))
	}
	return n, err
}

// TestWriteSwapfile makes one in a directory whose files are copied on write.
func TestWriteSwapfile(t *testing.T) {
	d := newDisk(t, 0)
	dir := t.TempDir()
	if err := unix.Mount("/dev/"+d.name+"p2", dir, "btrfs", 0, "compress-force=zstd"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0)
	name := filepath.Join(dir, "plain")
	if err := writeSwapfile(name, 8*mib, ids.UUID{7}); err != nil {
		t.Fatal(err)
	}
	imgtest.Swapon(t, name)
	imgtest.Swapoff(t, name)
	if err := writeSwapfile(name, 8*mib, ids.UUID{7}); !os.IsExist(err) {
		t.Errorf("over one that is there: %v; want a refusal", err)
	}
	if err := writeSwapfile(filepath.Join(dir, "large"), gib, ids.UUID{7}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("one that does not fit: %v; want %v", err, unix.ENOSPC)
	}
}

func TestSwapSize(t *testing.T) {
	ram := func() (int64, string, error) { return 8*gib - 1, "memory modules", nil }
	tests := []struct {
		in     string
		want   int64
		source string
		err    string
	}{
		{"none", 0, "", ""},
		{"40960", 40960, "as the layout says", ""},
		{"40959", 40960, "as the layout says", ""},
		{"36864", 0, "", "36864 bytes, expected 40960 to 17592186044416"},
		{"17592186044416", 1 << 44, "as the layout says", ""},
		{"17592186044417", 0, "", "expected none, a number"},
		{"ram", 8 * gib, "RAM by memory modules", ""},
		{"ram+0", 8 * gib, "RAM by memory modules", ""},
		{"ram+4098", 8*gib + 8192, "RAM by memory modules", ""},
		{"ram+17592186044416", 0, "", "expected 40960 to"},
		{"ram+", 0, "", "expected none"}, {"", 0, "", "expected none"}, {"-40960", 0, "", "expected none"}, {"1GiB", 0, "", "expected none"}, {"ram+ram", 0, "", "expected none"},
	}
	for _, test := range tests {
		got, source, err := swapSize(test.in, ram)
		if got != test.want || source != test.source && err == nil || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("swapSize(%q) = %d, %q, %v; want %d, %q, %q", test.in, got, source, err, test.want, test.source, test.err)
		}
	}
	if _, _, err := swapSize("ram", func() (int64, string, error) { return 0, "", os.ErrPermission }); err == nil {
		t.Error("swapSize without knowing the RAM: no error")
	}
}
