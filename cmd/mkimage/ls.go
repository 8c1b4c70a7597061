package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

type lsFlags struct{ long, recursive bool }

func newLs(u *ui) *cobra.Command {
	var f lsFlags
	cmd := &cobra.Command{
		Use:   "ls FS[:SUBVOLUME]/PATH",
		Short: "list a directory in a file system that is not mounted",
		Long: `ls lists a directory, or one file. Paths start at the top level of the file
system, where subvolumes are directories like others; symbolic links are shown,
not followed, except those in the middle of the path. Names that would upset a
terminal are quoted. Owners are numbers, times are UTC.

Of a disk image it reads the root partition, or the ESP where IMAGE:esp:/PATH is
given.`,
		Example: `  mkimage ls fs.img
  mkimage ls -l fs.img:@home/user
  mkimage ls --recursive --json fs.img:@/etc
  mkimage ls -R disk.img:esp:/`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Input),
		RunE:        func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	cmd.Flags().BoolVarP(&f.long, "long", "l", false, "show mode, links, owner, group, size and time")
	cmd.Flags().BoolVarP(&f.recursive, "recursive", "R", false, "list everything below, as paths")
	return cmd
}

func (f *lsFlags) run(ctx context.Context, u *ui, arg string) error {
	img, v, p, err := openPath(arg)
	if err != nil {
		return err
	}
	defer img.Close()
	info, err := v.Lstat(p.path)
	if err != nil {
		return p.wrap(err)
	}
	out := bufio.NewWriter(u.out)
	l := lister{lsFlags: *f, u: u, out: out, volume: v}
	if info.IsDir() {
		err = l.dir(ctx, p.path, "")
	} else {
		err = l.entry(p.path, path.Base(p.path), info)
	}
	if err != nil {
		err = p.wrap(err)
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	return err
}

// lister prints entries of one volume.
type lister struct {
	lsFlags
	u      *ui
	out    *bufio.Writer
	volume fileTree
}

// dir lists the directory at a path from the top level; shown is the prefix of
// its names in the listing.
func (l *lister) dir(ctx context.Context, at, shown string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := l.volume.ReadDir(at)
	if err != nil {
		return err
	}
	for _, e := range entries {
		child := path.Join(at, e.Name())
		info, err := e.Info()
		if err != nil {
			return err
		}
		if err := l.entry(child, shown+e.Name(), info); err != nil {
			return err
		}
		if l.recursive && info.IsDir() {
			if err := l.dir(ctx, child, shown+e.Name()+"/"); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry prints one line.
func (l *lister) entry(at, shown string, info fs.FileInfo) error {
	if !l.long && !l.u.json {
		_, err := fmt.Fprintln(l.out, printable(shown))
		return err
	}
	node, err := describe(l.volume, at, info)
	if err != nil {
		return err
	}
	node.Path, node.PathBytes = shown, unlessUTF8(shown)
	if l.u.json {
		return l.u.encode(l.out, node)
	}
	return node.line(l.out)
}

// nodeInfo is what ls and stat know of a file.
type nodeInfo struct {
	Path        string   `json:"path"`
	PathBytes   []byte   `json:"path_bytes,omitempty"` // base64; of a path that is no UTF-8
	Type        string   `json:"type"`
	Mode        string   `json:"mode"` // octal permission bits
	Links       uint32   `json:"links"`
	UID         uint32   `json:"uid"`
	GID         uint32   `json:"gid"`
	Size        int64    `json:"size"`
	MTime       jsonTime `json:"mtime"`
	Target      string   `json:"target,omitempty"` // of a symlink
	TargetBytes []byte   `json:"target_bytes,omitempty"`
	Device      string   `json:"device,omitempty"` // MAJOR:MINOR of a special file
	Inode       uint64   `json:"inode"`
	Subvolume   uint64   `json:"subvolume"`

	text string // the mode as ls has it
}

// describe gathers what there is to say of the entry at a path.
func describe(v fileTree, at string, info fs.FileInfo) (nodeInfo, error) {
	n := nodeInfo{
		Path: at, PathBytes: unlessUTF8(at), Type: typeWord(info.Mode()), Size: info.Size(), MTime: jsonTime{info.ModTime().UTC()},
	}
	if st, ok := info.Sys().(*reader.Stat); ok {
		i := &st.Inode
		n.Mode, n.text = fmt.Sprintf("%04o", i.Mode&0o7777), modeText(i.Mode)
		n.Links, n.UID, n.GID, n.Inode, n.Subvolume = i.Nlink, i.UID, i.GID, st.Ino, st.Subvolume
		if info.Mode()&fs.ModeDevice != 0 {
			// The kernel keeps 20 bits of the minor below the major.
			n.Device = fmt.Sprintf("%d:%d", i.Rdev>>20, i.Rdev&0xfffff)
		}
	} else { // FAT has neither owners nor permissions
		n.Mode, n.text, n.Links = fmt.Sprintf("%04o", info.Mode().Perm()), modeText(fatMode(info)), 1
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := v.ReadLink(at)
		if err != nil {
			return n, err
		}
		n.Target, n.TargetBytes = target, unlessUTF8(target)
	}
	return n, nil
}

// fatMode returns the mode of a file on an ESP as the kernel has it.
func fatMode(info fs.FileInfo) uint32 {
	if info.IsDir() {
		return unix.S_IFDIR | uint32(info.Mode().Perm())
	}
	return unix.S_IFREG | uint32(info.Mode().Perm())
}

// line prints the entry as ls -l does.
func (n *nodeInfo) line(w io.Writer) error {
	size := strconv.FormatInt(n.Size, 10)
	if n.Device != "" {
		size = n.Device
	}
	arrow := ""
	if n.Target != "" {
		arrow = " -> " + printable(n.Target)
	}
	_, err := fmt.Fprintf(w, "%s %4d %5d %5d %11s %s %s%s\n",
		n.text, n.Links, n.UID, n.GID, size, n.MTime.Format("2006-01-02 15:04:05"), printable(n.Path), arrow)
	return err
}

// modeText writes a Unix mode as ls -l does, which is not how package fs does.
func modeText(mode uint32) string {
	text := []byte("?rwxrwxrwx")
	if t := mode >> 12 & 15; t < 13 {
		text[0] = "?pc?d?b?-?l?s"[t]
	}
	for bit := range 9 {
		if mode>>bit&1 == 0 {
			text[9-bit] = '-'
		}
	}
	// The bits of set-user-ID, set-group-ID and sticky stand in the place of
	// the x that they concern, as a capital where it is not set.
	for _, special := range []struct {
		bit    uint32
		at     int
		letter byte
	}{{0o4000, 3, 's'}, {0o2000, 6, 's'}, {0o1000, 9, 't'}} {
		switch {
		case mode&special.bit == 0:
		case text[special.at] == 'x':
			text[special.at] = special.letter
		default:
			text[special.at] = special.letter - 'a' + 'A'
		}
	}
	return string(text)
}

// unlessUTF8 returns the bytes of a name for which JSON has no string, which
// would else be replaced: different names would look the same.
func unlessUTF8(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

func typeWord(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symlink"
	case m&fs.ModeCharDevice != 0:
		return "character device"
	case m&fs.ModeDevice != 0:
		return "block device"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "unknown"
}

// printable returns a name that no terminal takes for a command: as it is, or
// quoted like a Go string when a character in it cannot be printed.
func printable(name string) string {
	unsafe := func(r rune) bool { return !strconv.IsPrint(r) }
	if strings.ContainsFunc(name, unsafe) || strings.ToValidUTF8(name, "") != name {
		return strconv.Quote(name)
	}
	return name
}
