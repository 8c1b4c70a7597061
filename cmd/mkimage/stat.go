package main

import (
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

func newStat(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "stat FS[:SUBVOLUME]/PATH",
		Short: "show a file's inode, extents and attributes, or a whole file system",
		Long: `stat shows the inode of a file, its extended attributes, and where on the device
its bytes are. Given a file system alone it shows that: its size, its features
and its subvolumes. Symbolic links at the end of the path are not followed.

Of a disk image it reads the root partition, or the ESP where IMAGE:esp:/PATH is
given; addresses count from the start of the partition. mkimage inspect shows the
whole disk.`,
		Example: `  mkimage stat fs.img
  mkimage stat fs.img:@/bin/ping
  mkimage stat --json fs.img:@swap/swapfile
  mkimage stat disk.img:esp:/EFI/BOOT/BOOTX64.EFI`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Input),
		RunE: func(_ *cobra.Command, args []string) error {
			img, v, p, err := openPath(args[0])
			if err != nil {
				return err
			}
			defer img.Close()
			if p.whole {
				err = statFS(u, img)
			} else {
				err = statNode(u, v, p.path)
			}
			if err != nil {
				return p.wrap(err)
			}
			return nil
		},
	}
}

type nodeStat struct {
	nodeInfo
	Flags      uint64       `json:"flags"`
	Generation uint64       `json:"generation"`
	Created    jsonTime     `json:"otime"`
	Changed    jsonTime     `json:"ctime"`
	Accessed   jsonTime     `json:"atime"`
	Xattrs     []xattrInfo  `json:"xattrs"`
	Extents    []extentInfo `json:"extents"`
}

type xattrInfo struct {
	Name  string `json:"name"`
	Value []byte `json:"value"` // base64 in JSON
}

type extentInfo struct {
	Offset      int64  `json:"offset"`
	Length      int64  `json:"length"`
	Kind        string `json:"kind"`
	Compression string `json:"compression,omitempty"`
	Logical     uint64 `json:"logical,omitempty"`
	Physical    uint64 `json:"physical,omitempty"`
	DiskLength  int64  `json:"disk_length,omitempty"`
	DiskOffset  int64  `json:"disk_offset,omitempty"`
}

func statNode(u *ui, v fileTree, at string) error {
	info, err := v.Lstat(at)
	if err != nil {
		return err
	}
	s := nodeStat{Xattrs: []xattrInfo{}, Extents: []extentInfo{}}
	if s.nodeInfo, err = describe(v, at, info); err != nil {
		return err
	}
	if st, ok := info.Sys().(*reader.Stat); ok {
		i := &st.Inode
		s.Flags, s.Generation = i.Flags, i.Generation
		s.Created, s.Changed, s.Accessed = unixTime(i.Otime.Sec, i.Otime.Nsec), unixTime(i.Ctime.Sec, i.Ctime.Nsec), unixTime(i.Atime.Sec, i.Atime.Nsec)
	}
	switch v := v.(type) {
	case *reader.Volume:
		err = s.addBtrfs(v, at, info)
	case espTree:
		err = s.addESP(v, at)
	}
	if err != nil {
		return err
	}
	return u.answer(s, s.print)
}

func (s *nodeStat) addBtrfs(v *reader.Volume, at string, info fs.FileInfo) error {
	xattrs, err := v.Xattrs(at)
	if err != nil {
		return err
	}
	for _, x := range xattrs {
		s.Xattrs = append(s.Xattrs, xattrInfo{x.Name, x.Value})
	}
	if info.Mode().IsRegular() || info.Mode()&fs.ModeSymlink != 0 {
		extents, err := v.Extents(at)
		if err != nil {
			return err
		}
		for _, e := range extents {
			s.Extents = append(s.Extents, extentOf(e))
		}
	}
	return nil
}

func (s *nodeStat) addESP(v espTree, at string) error {
	extents, err := v.Extents(at)
	for _, e := range extents {
		s.Extents = append(s.Extents, extentInfo{Offset: e.Offset, Length: e.Length, Kind: "data", Physical: uint64(e.Physical), DiskLength: e.Length})
	}
	return err
}

func extentOf(e reader.Extent) extentInfo {
	x := extentInfo{
		Offset: e.FileOffset, Length: e.Length, Kind: e.Kind.String(),
		Logical: uint64(e.Logical), Physical: uint64(e.Physical), DiskLength: e.DiskLength, DiskOffset: e.Offset,
	}
	if int(e.Compression) < len(compressionNames) {
		x.Compression = compressionNames[e.Compression]
	}
	return x
}

var compressionNames = [...]string{ondisk.CompressZlib: "zlib", ondisk.CompressLZO: "lzo", ondisk.CompressZstd: "zstd"}

func unixTime(sec int64, nsec uint32) jsonTime { return jsonTime{time.Unix(sec, int64(nsec)).UTC()} }

func (s *nodeStat) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("path", "%s", printable(s.Path))
	row("type", "%s", s.Type)
	if s.Target != "" {
		row("target", "%s", printable(s.Target))
	}
	if s.Device != "" {
		row("device", "%s", s.Device)
	}
	row("size", "%d", s.Size)
	row("mode", "%s %s", s.Mode, s.text)
	row("owner", "%d:%d", s.UID, s.GID)
	row("links", "%d", s.Links)
	row("inode", "%d in subvolume %d, generation %d, flags %#x", s.Inode, s.Subvolume, s.Generation, s.Flags)
	for _, at := range []struct {
		name string
		time jsonTime
	}{{"mtime", s.MTime}, {"ctime", s.Changed}, {"otime", s.Created}, {"atime", s.Accessed}} {
		row(at.name, "%s", at.time.Format(time.RFC3339Nano))
	}
	for _, x := range s.Xattrs {
		row("xattr", "%s %s", printable(x.Name), strconv.Quote(string(x.Value)))
	}
	t.Flush()
	if len(s.Extents) == 0 {
		return
	}
	fmt.Fprintln(t, "\nOFFSET\tLENGTH\tKIND\tLOGICAL\tPHYSICAL\tON DISK")
	for _, e := range s.Extents {
		if e.DiskLength == 0 {
			fmt.Fprintf(t, "%d\t%d\t%s\t\t\t%s\n", e.Offset, e.Length, e.Kind, e.Compression)
			continue
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%d\t%d\t%d %s\n", e.Offset, e.Length, e.Kind, e.Logical, e.Physical, e.DiskLength, e.Compression)
	}
	t.Flush()
}
