package boot

import (
	"bytes"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/ids"
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
