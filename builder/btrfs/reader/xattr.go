package reader

import (
	"math"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// Xattr is one extended attribute: its full name, such as "user.comment", and
// its value as getxattr(2) returns it.
type Xattr struct {
	Name  string
	Value []byte
}

func (f *FS) xattrs(o *object) ([]Xattr, error) {
	if o.stub {
		return nil, nil
	}
	var list []Xattr
	from := ondisk.Key{ObjectID: o.ino, Type: ondisk.TypeXattrItem}
	to := ondisk.Key{ObjectID: o.ino, Type: ondisk.TypeXattrItem, Offset: math.MaxUint64}
	for item, err := range f.Items(o.tree, from, to) {
		if err != nil {
			return nil, err
		}
		found, err := ondisk.DecodeDirItems(item.Data)
		if err != nil {
			return nil, o.damaged("%v: %w", item.Key, err)
		}
		for _, x := range found {
			if x.Type != ondisk.FileXattr {
				return nil, o.damaged("%v: %q of type %d, expected an xattr", item.Key, x.Name, x.Type)
			}
			list = append(list, Xattr{Name: x.Name, Value: slices.Clone(x.Data)})
		}
	}
	slices.SortFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
