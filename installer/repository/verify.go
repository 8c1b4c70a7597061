package repository

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Proof is a comparison of a directory with what was restored into it.
type Proof struct {
	Restoring
	Name     string                   // what errors call the directory
	Files    int64                    // what restic said that it restored, with what was right already
	Progress func(bytes, files int64) // of what was compared; nil tells nobody
}

// Verdict is what a Proof has found.
type Verdict struct {
	Wrong    int      // entries that are not as in the snapshot
	First    []string // of these
	Odd      int      // right but for their owner, mode or time
	FirstOdd string
}

// Verify proves that a directory equals what was restored into it, at the cost of
// reading it once. Files whose content is wrong are removed: the next restore then
// writes them anew, also where restic would not, such as the zeros of a sparse
// file over what cannot be read.
//
// "restore --verify" compares only what the same run has written, and that in
// memory. A dry run of a restore reads all files that are there and hashes them,
// whoever wrote them, and says of which it would write anything. What has no
// content it does not look at: the list of the snapshot has its type, owner,
// mode and time. Extended attributes and the targets of symlinks nothing but the
// restore itself vouches for, which fails when it cannot set them.
func (repo *Repository) Verify(ctx context.Context, p Proof) (Verdict, error) {
	if p.Progress == nil {
		p.Progress = func(int64, int64) {}
	}
	v := &verifier{proof: &p, linked: map[uint64]bool{}, wrong: map[string]bool{}}
	args := p.args("--dry-run")
	if err := v.read(ctx, repo, "verbose_status", v.content, p.Files, append([]string{"-vv"}, args...)...); err != nil {
		return Verdict{}, err
	}
	list, least := []string{"ls", p.what(), "--recursive"}, p.Files
	if len(p.Includes) > 0 { // without the directories above them, which the files count
		list, least = append(list, p.Includes...), int64(len(p.Includes))
	}
	if err := v.read(ctx, repo, "node", v.node, least, list...); err != nil {
		return Verdict{}, err
	}
	v.Wrong = len(v.wrong)
	return v.Verdict, nil
}

// verifier compares a directory with what restic says of a snapshot.
type verifier struct {
	Verdict
	proof  *Proof
	bytes  int64
	files  int64
	linked map[uint64]bool // inodes of several names whose content is right
	wrong  map[string]bool // items
}

// read calls a function with all messages of a kind that restic prints.
func (v *verifier) read(ctx context.Context, repo *Repository, kind string, call func(Line), least int64, args ...string) error {
	seen := int64(0)
	out := Messages(func(l Line) {
		seen++
		call(l)
	}, kind)
	if err := repo.Command(ctx, out, args...); err != nil {
		return firstboot.Located(v.proof.Name+": comparing", err)
	}
	if seen < least {
		return firstboot.NewProblem(firstboot.CodeIncomplete, repo.Again, "%s: comparing: restic tells of %d entries, expected %d", v.proof.Name, seen, least)
	}
	return nil
}

// content looks at a message of the dry run. "unchanged" are regular files that
// were read and are right. All else it would make or write: directories,
// symlinks and second names of a file, always, and files that are wrong.
func (v *verifier) content(l Line) {
	paths := v.find(l.Item)
	if l.Action == "unchanged" {
		for _, path := range paths {
			if info, stat := lstat(path); info != nil && stat.Nlink > 1 {
				v.linked[stat.Ino] = true
			}
		}
		v.bytes += int64(min(l.Size, 1<<62))
		v.files++
		v.proof.Progress(v.bytes, v.files)
		return
	}
	for _, path := range paths {
		info, stat := lstat(path)
		if info != nil && (!info.Mode().IsRegular() || stat.Nlink > 1 && v.linked[stat.Ino]) {
			return
		}
	}
	v.fail(l.Item, paths)
}

// node looks at an entry of the list.
func (v *verifier) node(l Line) {
	if l.Type == "socket" || l.Type == "irregular" { // restic does not restore them
		return
	}
	var found fs.FileInfo
	paths := v.find(l.Path)
	for _, path := range paths {
		info, stat := lstat(path)
		if info == nil || typeName(info.Mode()) != l.Type || l.Type == "file" && uint64(info.Size()) != l.Size {
			continue
		}
		found = info
		if sameMeta(l, info, stat) {
			return
		}
	}
	if found == nil {
		v.fail(l.Path, paths)
		return
	}
	if v.Odd++; v.FirstOdd == "" {
		v.FirstOdd = Printable(l.Path)
	}
}

// sameMeta reports whether an entry has the owner, mode and time of a node.
func sameMeta(l Line, info fs.FileInfo, stat *syscall.Stat_t) bool {
	const bits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	return stat.Uid == l.UID && stat.Gid == l.GID && info.ModTime().Equal(l.MTime) &&
		(l.Type == "symlink" || info.Mode()&bits == fs.FileMode(l.Mode)&bits)
}

// typeName is the type of a node, as restic calls it (internal/restic/node.go).
func typeName(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "dir"
	case fs.ModeSymlink:
		return "symlink"
	case fs.ModeDevice:
		return "dev"
	case fs.ModeDevice | fs.ModeCharDevice:
		return "chardev"
	case fs.ModeNamedPipe:
		return "fifo"
	}
	return ""
}

// fail notes that an entry is wrong, and removes it if it is a file: the next
// run then writes it anew, also where restic would not, such as the zeros of a
// sparse file over what cannot be read.
func (v *verifier) fail(item string, paths []string) {
	if !v.wrong[item] && len(v.First) < maxFailures {
		v.First = append(v.First, Printable(item))
	}
	v.wrong[item] = true
	for _, path := range paths {
		if info, _ := lstat(path); info != nil && info.Mode().IsRegular() {
			_ = os.Remove(path) // restic will say
		}
	}
}

// find returns the paths below the directory that restic may mean by an
// item. In JSON each byte that is not UTF-8 becomes U+FFFD, so that there may be
// several.
func (v *verifier) find(item string) []string {
	top := v.proof.To
	if !strings.ContainsRune(item, utf8.RuneError) {
		return []string{filepath.Join(top, item)}
	}
	paths := []string{top}
	for part := range strings.SplitSeq(strings.Trim(item, "/"), "/") {
		var next []string
		for _, dir := range paths {
			if !strings.ContainsRune(part, utf8.RuneError) {
				next = append(next, filepath.Join(dir, part))
				continue
			}
			entries, _ := os.ReadDir(dir) // without it nothing is found, which is wrong
			for _, e := range entries {
				if string([]rune(e.Name())) == part {
					next = append(next, filepath.Join(dir, e.Name()))
				}
			}
		}
		paths = next
	}
	return paths
}

// lstat returns nil for what cannot be looked at.
func lstat(path string) (fs.FileInfo, *syscall.Stat_t) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, nil
	}
	return info, stat
}
