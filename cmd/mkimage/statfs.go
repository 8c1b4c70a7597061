package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

type fsStat struct {
	FSID       string            `json:"fsid"`
	Label      string            `json:"label"`
	Size       uint64            `json:"size"`
	Used       uint64            `json:"used"`
	Checksum   string            `json:"checksum"`
	NodeSize   uint32            `json:"nodesize"`
	Generation uint64            `json:"generation"`
	Features   []string          `json:"features"`
	CompatRO   uint64            `json:"compat_ro_flags"`
	Default    uint64            `json:"default_subvolume"`
	Unclean    bool              `json:"unclean"` // the log tree is in use
	Subvolumes []statfsSubvolume `json:"subvolumes"`
}

type statfsSubvolume struct {
	ID         uint64 `json:"id"`
	Path       string `json:"path"`
	UUID       string `json:"uuid"`
	ReadOnly   bool   `json:"read_only"`
	SnapshotOf string `json:"snapshot_of,omitempty"` // the UUID
}

func statFS(u *ui, img *openFS) error {
	super := img.Super()
	s := fsStat{
		FSID: ids.UUID(super.FSID).String(), Label: super.Label, Size: super.TotalBytes, Used: super.BytesUsed,
		Checksum: super.Checksum.String(), NodeSize: super.NodeSize, Generation: super.Generation,
		Features: ondisk.IncompatNames(super.IncompatFlags), CompatRO: super.CompatROFlags, Unclean: img.LogDirty(),
	}
	var err error
	if s.Default, err = img.DefaultSubvolume(); err != nil {
		return err
	}
	list, err := img.Subvolumes()
	if err != nil {
		return err
	}
	s.Subvolumes = make([]statfsSubvolume, len(list))
	for i, v := range list {
		s.Subvolumes[i] = subvolumeOf(v)
	}
	return u.answer(s, s.print)
}

func subvolumeOf(v reader.Subvolume) statfsSubvolume {
	s := statfsSubvolume{ID: v.ID, Path: v.Path, UUID: v.UUID.String(), ReadOnly: v.ReadOnly}
	if !v.ParentUUID.IsZero() {
		s.SnapshotOf = v.ParentUUID.String()
	}
	return s
}

func (s *fsStat) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "fsid\t%s\n", s.FSID)
	fmt.Fprintf(t, "label\t%s\n", printable(s.Label))
	fmt.Fprintf(t, "size\t%s (%d bytes), %s used\n", humanBytes(int64(s.Size)), s.Size, humanBytes(int64(s.Used)))
	fmt.Fprintf(t, "checksum\t%s\n", s.Checksum)
	fmt.Fprintf(t, "features\t%s\n", strings.ToLower(strings.Join(s.Features, " ")))
	fmt.Fprintf(t, "default\tsubvolume %d\n", s.Default)
	if s.Unclean {
		fmt.Fprintf(t, "unclean\tnot unmounted; what was synced last is in the log tree and not seen here\n")
	}
	t.Flush()
	if len(s.Subvolumes) == 0 {
		return
	}
	fmt.Fprintf(t, "\nID\tSUBVOLUME\tUUID\n")
	for _, v := range s.Subvolumes {
		note := ""
		if v.ReadOnly {
			note = "\tread-only"
		}
		fmt.Fprintf(t, "%d\t%s\t%s%s\n", v.ID, printable(v.Path), v.UUID, note)
	}
	t.Flush()
}
