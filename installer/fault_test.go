package installer

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// TestWriteError has each write and each sync of an installation fail in turn, onto
// a disk that had a system. There is never a system that is not whole: the old one is as it
// was, or there is none.
func TestWriteError(t *testing.T) {
	m := makeMedium(t).open(t, nil)
	d := newDisk(4 << 30)
	old, err := install(t, m, d, ids.Seed{7})
	if err != nil {
		t.Fatal(err)
	}
	base := d.mem.Clone()
	writes := len(d.ops)
	if writes < 20 {
		t.Fatalf("%d writes; want those of a system", writes)
	}
	for n := range writes {
		for _, dead := range []bool{false, true} { // from then on
			d := &disk{mem: base.Clone(), sector: 512}
			at := 0
			d.fail = func([]byte, int64) error { // called by one at a time
				at++
				if at-1 == n || dead && at > n {
					return syscall.EIO
				}
				return nil
			}
			f, err := install(t, m, d, ids.Seed{8})
			if !errors.Is(err, syscall.EIO) || fault.ClassOf(err) != fault.Internal || fault.HintOf(err) == "" || !strings.Contains(err.Error(), "target: ") {
				t.Errorf("write %d: got %v; want an error of the host about the target", n, err)
			}
			table, _, err := gpt.Read(d, d.Size())
			switch {
			case err != nil || len(table.Partitions) == 0:
			case table.GUID == old.Table.GUID && n <= 1:
			case dead && table.GUID == f.Table.GUID && f.whole(t.Context(), d) == nil: // nothing could be taken back
			default:
				t.Errorf("write %d of %d fails, and all after it %v: the disk has table %s", n, writes, dead, table.GUID)
			}
		}
	}
}

// pulled is a medium that is pulled out once so many bytes were read.
type pulled struct {
	io.ReaderAt
	left atomic.Int64
}

func (p *pulled) ReadAt(b []byte, off int64) (int, error) {
	if p.left.Add(-int64(len(b))) < 0 {
		return 0, syscall.ENODEV
	}
	return p.ReaderAt.ReadAt(b, off)
}

// TestPulled pulls the medium out while the system is copied: the disk has
// nothing to start.
func TestPulled(t *testing.T) {
	for _, share := range []int64{0, 25, 50, 99} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			m := makeMedium(t).open(t, nil)
			d := newDisk(targetSize)
			f, err := PlanFresh(t.Context(), m, d, ids.Seed{6}, installTime)
			if err != nil {
				t.Fatal(err)
			}
			var total int64
			for _, c := range m.chunks() {
				total += c.Length
			}
			p := &pulled{ReaderAt: m.disk}
			p.left.Store(total * share / 100)
			m.disk = p
			err = Run(t.Context(), f.Steps(), func(Step, int64, int64) {})
			if !errors.Is(err, syscall.ENODEV) || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "medium: payload: byte ") {
				t.Errorf("got %v; want an error of the medium that names the byte", err)
			}
			if table, _, err := gpt.Read(d, d.Size()); err != nil || len(table.Partitions) != 0 {
				t.Errorf("table %+v, %v; want one without partitions", table, err)
			}
		})
	}
}
