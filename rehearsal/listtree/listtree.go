// Package listtree writes down all that is to be kept of a tree of files, one
// line each, so that two trees are the same if their lists are. Rehearsals and tests
// compare a home with what came back of it by these lists, which are made where the
// files are: on the host, and in a virtual machine.
package listtree

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// List writes a line for each file below a directory, in the order of their
// names within each directory. The directory itself has none: whoever mounts a
// file system there gives it its attributes.
//
// A line has nine fields with spaces between: the path in quotes, ASCII alone;
// the type as ls(1) has it; the mode in octal; UID:GID; the time of the last
// change of content, in seconds with nine decimals; the size in bytes; the
// SHA-256 of the content; the symlink's text in quotes; the path of the first
// file in the list that is another name of this one, in quotes; extended
// attributes as NAME=HEX with commas between. A field that a file has not is "-".
func List(w io.Writer, root string) error {
	out := bufio.NewWriterSize(w, 1<<16)
	l := lister{root: root, out: out, first: map[fileID]string{}}
	if err := filepath.WalkDir(root, l.visit); err != nil {
		return err
	}
	return out.Flush()
}

// fileID is what the names of one file have in common.
type fileID struct{ dev, ino uint64 }

type lister struct {
	root  string
	out   io.Writer
	first map[fileID]string // the first name of each file that has several
}

// line are the fields of a line.
type line struct {
	path, kind, mode, owner, time, size, sum, target, link, xattrs string
}

func (l *lister) visit(path string, _ fs.DirEntry, err error) error {
	if err != nil || path == l.root {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	rel, err := filepath.Rel(l.root, path)
	if err != nil {
		return err
	}
	f := line{
		path: strconv.QuoteToASCII(rel), mode: fmt.Sprintf("%04o", st.Mode&0o7777), owner: fmt.Sprintf("%d:%d", st.Uid, st.Gid),
		time: fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec), size: "-", sum: "-", target: "-", link: l.otherName(&st, rel),
	}
	if err := f.content(path, &st); err != nil {
		return err
	}
	if f.xattrs, err = xattrsOf(path); err != nil {
		return fmt.Errorf("%q: extended attributes: %w", path, err)
	}
	_, err = fmt.Fprintln(l.out, f.path, f.kind, f.mode, f.owner, f.time, f.size, f.sum, f.target, f.link, f.xattrs)
	return err
}

// otherName returns the first name in the list of a file that has several.
func (l *lister) otherName(st *unix.Stat_t, rel string) string {
	if st.Nlink < 2 || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return "-"
	}
	id := fileID{st.Dev, st.Ino}
	first, ok := l.first[id]
	if !ok {
		l.first[id] = rel
		return "-"
	}
	return strconv.QuoteToASCII(first)
}

// kinds are the letters of types.
var kinds = map[uint32]string{
	unix.S_IFREG: "f", unix.S_IFDIR: "d", unix.S_IFLNK: "l", unix.S_IFIFO: "p", unix.S_IFSOCK: "s", unix.S_IFCHR: "c", unix.S_IFBLK: "b",
}

// content sets what differs with the type.
func (f *line) content(path string, st *unix.Stat_t) (err error) {
	f.kind = kinds[st.Mode&unix.S_IFMT]
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.size = strconv.FormatInt(st.Size, 10)
		f.sum, err = sumOf(path)
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		f.target = strconv.QuoteToASCII(target)
		return err
	case unix.S_IFCHR, unix.S_IFBLK:
		f.target = fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	return err
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ofFileSystem are extended attributes that say how a file system stores a file
// or that its security module gives by itself.
var ofFileSystem = []string{"btrfs.", "security.selinux"}

func xattrsOf(path string) (string, error) {
	list, err := readTwice(func(b []byte) (int, error) { return unix.Llistxattr(path, b) })
	if errors.Is(err, unix.ENOTSUP) {
		return "-", nil
	}
	if err != nil {
		return "", err
	}
	var fields []string
	for name := range bytes.SplitSeq(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		name := string(name)
		if name == "" || slices.ContainsFunc(ofFileSystem, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		value, err := readTwice(func(b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
		if err != nil {
			return "", fmt.Errorf("%q: %w", name, err)
		}
		quoted := strconv.QuoteToASCII(name)
		fields = append(fields, quoted[1:len(quoted)-1]+"="+hex.EncodeToString(value))
	}
	if len(fields) == 0 {
		return "-", nil
	}
	slices.Sort(fields)
	return strings.Join(fields, ","), nil
}

// readTwice asks for a size, then reads as much.
func readTwice(read func(b []byte) (int, error)) ([]byte, error) {
	n, err := read(nil)
	if err != nil || n == 0 {
		return nil, err
	}
	b := make([]byte, n)
	n, err = read(b)
	return b[:max(n, 0)], err
}
