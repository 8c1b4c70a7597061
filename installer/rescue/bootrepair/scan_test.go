package bootrepair

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// lost returns the disk with as much room behind the root as it has itself, and no table.
func (m made) lost(t testing.TB) made {
	t.Helper()
	big := memDisk{imgtest.NewMemDisk(2*m.disk.Size() + 300*mib)}
	for _, at := range m.disk.Written() {
		if at >= mib && at < m.disk.Size()-mib {
			big.put(t, at, m.disk.read(t, at, 4096)...)
		}
	}
	m.disk = big
	return m
}

// copyTo copies a part of the disk to another place.
func (m made) copyTo(t testing.TB, to, from, size int64) {
	t.Helper()
	zeros := string(make([]byte, 4096))
	for at := int64(0); at < size; at += 4096 {
		if page := m.disk.read(t, from+at, 4096); string(page) != zeros {
			m.disk.put(t, to+at, page...)
		}
	}
}

// TestScan looks for the system of a disk among what else may be there.
func TestScan(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, m made)
		want   []string // in the refusal; none where the table is as it was
	}{
		{"nothing else", func(*testing.T, made) {}, nil},
		{"a superblock that is left over", func(t *testing.T, m made) {
			root := m.table.Partitions[1]
			m.copyTo(t, root.Start+root.Size+8*mib+64<<10, root.Start+64<<10, 4096)
		}, nil},
		{"all superblocks of one", func(t *testing.T, m made) {
			root := m.table.Partitions[1]
			for _, at := range []int64{64 << 10, 64 << 20} {
				m.copyTo(t, root.Start+root.Size+8*mib+at, root.Start+at, 4096)
			}
		}, nil},
		{"a superblock in a file", func(t *testing.T, m made) {
			root := m.table.Partitions[1]
			m.copyTo(t, root.Start+root.Size-8*mib+64<<10, root.Start+64<<10, 4096)
		}, nil},
		{"a damaged superblock", func(t *testing.T, m made) {
			at := m.table.Partitions[1].Start + 64<<10
			m.disk.put(t, at+0x100, m.disk.read(t, at+0x100, 1)[0]^1)
		}, nil},
		{"another's copy of it", func(t *testing.T, m made) {
			at := m.table.Partitions[1].Start + 64<<20
			raw := m.disk.read(t, at, 4096)
			raw[32] ^= 1 // the fsid
			ondisk.CRC32C.Seal(raw)
			m.disk.put(t, at, raw...)
		}, []string{"expected one btrfs", `vfat "ESP"`}},
		{"no copy of it", func(t *testing.T, m made) { m.disk.wipe(t, m.table.Partitions[1].Start+64<<20, 4096) }, []string{"expected one btrfs"}},
		{"two systems", func(t *testing.T, m made) {
			root := m.table.Partitions[1]
			m.copyTo(t, root.Start+root.Size+8*mib, root.Start, root.Size)
		}, []string{"at byte 68157440;", "expected one btrfs"}},
		{"two ESPs", func(t *testing.T, m made) {
			esp, root := m.table.Partitions[0], m.table.Partitions[1]
			m.copyTo(t, root.Start+root.Size+8*mib, esp.Start, esp.Size)
		}, []string{"at byte 1048576;", "expected one ESP"}},
		{"nothing but an ESP", func(t *testing.T, m made) {
			m.disk.wipe(t, m.table.Partitions[1].Start+64<<10, 4096)
			m.disk.wipe(t, m.table.Partitions[1].Start+64<<20, 4096)
		}, []string{`on the disk: vfat "ESP"`, "expected one btrfs"}},
		{"nothing at all", func(t *testing.T, m made) {
			root := m.table.Partitions[1].Start
			for _, at := range []int64{m.table.Partitions[0].Start, root + 64<<10, root + 64<<20} {
				m.disk.wipe(t, at, 4096)
			}
		}, []string{"no FAT32 and no btrfs", "expected one btrfs"}},
		{"an MBR", func(t *testing.T, m made) {
			m.disk.put(t, 446+4, 7)
			m.disk.put(t, 446+12, 9)
			m.disk.put(t, 510, 0x55, 0xaa)
		}, []string{"MBR with a partition of type 0x07"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := smallDisk(t).lost(t)
			tt.change(t, m)
			calls := m.disk.Calls
			found, err := InspectTable(t.Context(), m.disk, seed, nil)
			if m.disk.Calls != calls {
				t.Errorf("%d writes", m.disk.Calls-calls)
			}
			if tt.want != nil {
				for _, want := range tt.want {
					if err == nil || fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), want) {
						t.Errorf("InspectTable: %v; want %q", err, want)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(m.table.Partitions)
			want[1].Attributes = 0
			if diff := cmp.Diff(want, found.Table.Partitions); diff != "" {
				t.Errorf("partitions (-want +got):\n%s\n%q", diff, found.Notes)
			}
		})
	}
}

// failing is a disk of which some places cannot be read.
type failing struct {
	memDisk
	bad  map[int64]bool // MiB
	from int64          // all from there on, in MiB
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if f.bad[at/mib] || f.from > 0 && at/mib >= f.from {
		return 0, errors.New("input/output error")
	}
	return f.memDisk.ReadAt(p, at)
}

// TestUnread: a disk that cannot be read at some places is looked through all the same.
func TestUnread(t *testing.T) {
	m := smallDisk(t).lost(t)
	end := (m.table.Partitions[1].Start + m.table.Partitions[1].Size) / mib
	found, err := InspectTable(t.Context(), failing{m.disk, map[int64]bool{end + 3: true, end + 4: true}, 0}, seed, nil)
	if err != nil || len(found.Table.Partitions) != 2 || !slices.Contains(found.Notes, "2 places of the disk could not be read: it fails") {
		t.Errorf("%+v, %v", found, err)
	}
	for n, want := range map[int64]bool{maxUnread - 1: true, maxUnread: true, maxUnread + 1: false} {
		_, unread, err := scan(t.Context(), failing{m.disk, nil, end + 1}, (end+1+n)*mib, nil)
		if (err == nil) != want || int64(unread) != n {
			t.Errorf("%d places cannot be read: %d, %v", n, unread, err)
		}
	}
}

// FuzzLookAt has the first blocks of a disk say anything.
func FuzzLookAt(f *testing.F) {
	fat := make([]byte, 4096)
	fat[510], fat[511] = 0x55, 0xaa
	copy(fat[82:], "FAT32   ")
	super := make([]byte, 4096)
	copy(super[64:], "_BHRfS_M")
	super[48+2] = 1 // bytenr 64 KiB
	ondisk.CRC32C.Seal(super)
	f.Add([]byte{}, []byte{})
	f.Add(fat, super)
	m := smallDisk(f)
	root := m.table.Partitions[1].Start
	f.Add([]byte{}, m.disk.read(f, root+64<<10, 4096))
	f.Add(m.disk.read(f, m.table.Partitions[0].Start, 512), []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d := memDisk{imgtest.NewMemDisk(80 * mib)}
		put := func(at int64, b []byte) { d.put(t, at, b[:min(len(b), 4096)]...) }
		put(mib, first)
		put(mib+64<<10, second)
		found, _, err := scan(t.Context(), d, d.Size(), nil)
		if err != nil {
			t.Error(err)
		}
		for _, x := range found {
			if x.Start < mib || x.end() > d.Size() || x.Size <= 0 {
				t.Errorf("%v", x)
			}
		}
	})
}
