package inventory

import (
	"io"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	btrfs "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	fat "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// maxLost bounds how many file systems are looked for one behind the other.
const maxLost = 8

// lost returns the file systems of a disk whose partition table is gone. Only places
// are looked at where partitions begin that we make, or many others: the first MiB, the
// partitions of the host's plan, and the end of what was found. Searching the whole disk
// would take hours.
func (l *look) lost() []volume {
	starts := []int64{plan.Alignment}
	if l.host != nil {
		for _, p := range l.host.Disk.Partitions {
			starts = append(starts, p.Start)
		}
	}
	var list []volume
	seen := map[int64]bool{}
	for len(starts) > 0 && len(list) < maxLost {
		at := starts[0]
		starts = starts[1:]
		if seen[at] || at <= 0 || at >= l.disk.Size {
			continue
		}
		seen[at] = true
		v, ok := l.lostAt(at)
		if !ok {
			continue
		}
		list = append(list, v)
		starts = append(starts, (at+v.Size+plan.Alignment-1)/plan.Alignment*plan.Alignment)
	}
	return list
}

// lostAt returns the file system that begins at a byte of the disk.
func (l *look) lostAt(at int64) (volume, bool) {
	rest := l.disk.Size - at
	r := io.NewSectionReader(l.node, at, rest)
	v := volume{Place: Place{Disk: l.disk.Path, Start: at}}
	if f, err := fat.Open(r, rest); err == nil {
		v.Size, v.contents = f.Size(), []disks.Content{{Type: "vfat", UUID: f.UUID(), Label: text(f.Label())}}
		return v, true
	}
	f, err := btrfs.Open(r, rest)
	if err == nil {
		s := f.Super()
		v.Size = int64(s.DevItem.TotalBytes) // which Open has compared with the disk
		v.contents = []disks.Content{{Type: "btrfs", UUID: fsid(f), Label: text(s.Label)}}
		return v, true
	}
	block := make([]byte, ondisk.SuperSize)
	if _, err := r.ReadAt(block, int64(ondisk.SuperMirrors[0])); err != nil {
		return v, false
	}
	s, err := ondisk.DecodeSuperblock(block)
	if err != nil || s.Bytenr != ondisk.SuperMirrors[0] {
		return v, false
	}
	v.Size = rest // damaged, or cut short: it is told why when it is read
	v.contents = []disks.Content{{Type: "btrfs", UUID: ids.UUID(s.FSID).String(), Label: text(s.Label)}}
	return v, true
}
