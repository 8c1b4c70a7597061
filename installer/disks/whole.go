package disks

import (
	"cmp"
	"path/filepath"
)

// Whole returns the disk that the block device of a number is, or is a partition
// of, as sysfs and udev's database have it: nothing is read of the disk itself,
// which may fail. What is on it and who uses it are left out. start is where a
// partition begins, in bytes, and 0 of a whole disk. Of a device that is made of
// others (dm, md) the WWID is the identifier of that.
func (s Scanner) Whole(rdev uint64) (d Disk, start int64, err error) {
	o := s.withDefaults()
	dir, err := o.byNumber(rdev)
	if err != nil {
		return Disk{}, 0, err
	}
	if exists(filepath.Join(dir, "partition")) {
		if start, err = sectors(dir, "start"); err != nil {
			return Disk{}, 0, err
		}
		dir = filepath.Dir(dir)
	}
	b, err := o.device(filepath.Base(dir))
	if err != nil {
		return Disk{}, 0, err
	}
	d = b.disk(o)
	d.WWID = cmp.Or(d.WWID, attribute(dir, "dm/uuid"), attribute(dir, "md/uuid"))
	return d, start, nil
}
