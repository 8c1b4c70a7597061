package restore

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// verify proves that the staging directory equals the snapshot, at the cost of
// reading it once.
//
// "restore --verify" compares only what the same run has written, and that in
// memory. A dry run of a restore reads all files that are there and hashes them,
// whoever wrote them, and says of which it would write anything. What has no
// content it does not look at: the list of the snapshot has its type, owner,
// mode and time. Extended attributes and the targets of symlinks nothing but the
// restore itself vouches for, which fails when it cannot set them.
func (repo *repository) verify(ctx context.Context) error {
	r := repo.run
	if err := r.DropCaches(); err != nil {
		r.Log(fmt.Sprintf("what was restored may be read from memory, not from the disk, to compare it: %v", err))
	}
	v := &verifier{run: r, meter: r.meter(StageVerify), linked: map[uint64]bool{}, wrong: map[string]bool{}}
	if err := v.read(ctx, repo, "verbose_status", v.content, "-vv", "restore", r.pin.Snapshot+":"+r.pin.Path, "--target="+r.staging(), "--overwrite=always", "--dry-run"); err != nil {
		return err
	}
	if err := v.read(ctx, repo, "node", v.node, "ls", r.pin.Snapshot+":"+r.pin.Path, "--recursive"); err != nil {
		return err
	}
	if v.odd > 0 {
		r.Log(fmt.Sprintf("%s: %d entries have another owner, mode or time than in the snapshot, the first is %s", r.c.Restore.Path, v.odd, v.firstOdd))
	}
	return v.verdict()
}

// verifier compares the staging directory with what restic says of a snapshot.
type verifier struct {
	run      *run
	meter    *meter
	bytes    int64
	files    int64
	seen     int64           // messages
	linked   map[uint64]bool // inodes of several names whose content is right
	wrong    map[string]bool // items
	first    []string        // of them
	odd      int             // right but for their owner, mode or time
	firstOdd string
}

// read calls a function with all messages of a kind that restic prints.
func (v *verifier) read(ctx context.Context, repo *repository, kind string, call func(line), args ...string) error {
	v.seen = 0
	out := &lineWriter{call: func(text []byte) {
		if l, ok := parseLine(text); ok && l.MessageType == kind {
			v.seen++
			call(l)
		}
	}}
	if err := repo.command(ctx, out, args...); err != nil {
		return firstboot.Located(v.run.c.Restore.Path+": comparing", err)
	}
	if v.seen < v.run.pin.Files {
		return firstboot.NewProblem(firstboot.CodeIncomplete, again, "%s: comparing: restic tells of %d entries, expected %d", v.run.c.Restore.Path, v.seen, v.run.pin.Files)
	}
	return nil
}

// content looks at a message of the dry run. "unchanged" are regular files that
// were read and are right. All else it would make or write: directories,
// symlinks and second names of a file, always, and files that are wrong.
func (v *verifier) content(l line) {
	paths := v.find(l.Item)
	if l.Action == "unchanged" {
		for _, path := range paths {
			if info, stat := lstat(path); info != nil && stat.Nlink > 1 {
				v.linked[stat.Ino] = true
			}
		}
		v.bytes += int64(min(l.Size, 1<<62))
		v.files++
		v.meter.set(v.bytes, v.files)
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
func (v *verifier) node(l line) {
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
	if v.odd++; v.firstOdd == "" {
		v.firstOdd = printable(l.Path)
	}
}

// sameMeta reports whether an entry has the owner, mode and time of a node.
func sameMeta(l line, info fs.FileInfo, stat *syscall.Stat_t) bool {
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
	if !v.wrong[item] && len(v.first) < maxFailures {
		v.first = append(v.first, printable(item))
	}
	v.wrong[item] = true
	for _, path := range paths {
		if info, _ := lstat(path); info != nil && info.Mode().IsRegular() {
			_ = os.Remove(path) // restic will say
		}
	}
}

func (v *verifier) verdict() error {
	if len(v.wrong) == 0 {
		return nil
	}
	return firstboot.NewProblem(firstboot.CodeIncomplete, "look at dmesg for errors of the disk, then: "+again,
		"%s: %d entries on the disk are not as in the snapshot: %s", v.run.c.Restore.Path, len(v.wrong), listed(v.first))
}

// find returns the paths below the staging directory that restic may mean by an
// item. In JSON each byte that is not UTF-8 becomes U+FFFD, so that there may be
// several.
func (v *verifier) find(item string) []string {
	staging := v.run.staging()
	if !strings.ContainsRune(item, utf8.RuneError) {
		return []string{filepath.Join(staging, item)}
	}
	paths := []string{staging}
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
