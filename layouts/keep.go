package layouts

import (
	"path"
	"regexp"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

var (
	tmpfsSize = regexp.MustCompile(`^[1-9][0-9]{0,9}[kKmMgG%]?$`) // tmpfs(5)
	octalMode = regexp.MustCompile(`^[01]?[0-7]{3}$`)
)

func checkTmpfs(l *Layout, f *strict.Findings) {
	if l.Tmpfs.Size == "" {
		return
	}
	if !tmpfsSize.MatchString(l.Tmpfs.Size) {
		f.Add("tmpfs_root.size", "expected a number with K, M, G or %%, such as 2G, found %q", l.Tmpfs.Size)
	}
	if !octalMode.MatchString(l.Tmpfs.Mode) {
		f.Add("tmpfs_root.mode", "expected three or four octal digits, such as 755, found %q", l.Tmpfs.Mode)
	}
}

func checkPersist(l *Layout, f *strict.Findings) {
	p := &l.Persist
	v := l.subvolume(p.Subvolume)
	switch {
	case p.Subvolume == "" && len(p.Directories)+len(p.Files) == 0:
		return
	case p.Subvolume == "":
		f.Add("persist.subvolume", "expected the subvolume that keeps the directories and files")
	case v == nil:
		f.Add("persist.subvolume", "%s", l.noSubvolume(p.Subvolume))
	case v.Mount == "" || v.Mount == "/":
		f.Add("persist.subvolume", "expected a subvolume with a mount point of its own, found %q", p.Subvolume)
	case !v.Early:
		f.Add(strict.Join(strict.Join("subvolumes", v.Name), "early"), "expected true: what %s keeps is needed before fstab is read", v.Name)
	}
	if l.Tmpfs.Size == "" {
		f.Add("persist", "nothing is forgotten that would have to be kept: set tmpfs_root.size")
	}
	var seen []string
	for _, list := range []struct {
		key   string
		paths []string
	}{{"persist.directories", p.Directories}, {"persist.files", p.Files}} {
		for i, at := range list.paths {
			l.checkPersistPath(strict.Index(list.key, i), at, seen, f)
			seen = append(seen, at)
		}
	}
}

// checkPersistPath checks a path to keep against those seen before it.
func (l *Layout) checkPersistPath(key, at string, seen []string, f *strict.Findings) {
	if !isMountPoint(at) || at == "/" {
		f.Add(key, "expected an absolute path below /, found %q", at)
		return
	}
	for _, other := range seen {
		if inside(other, at) || inside(at, other) {
			f.Add(key, "%s and %s are one inside of the other", other, at)
		}
	}
	for _, s := range l.Subvolumes {
		if s.Mount != "" && s.Mount != "/" && inside(s.Mount, at) {
			f.Add(key, "%s is kept already: it is on %s, mounted at %s", at, s.Name, s.Mount)
		}
	}
}

func checkFactory(l *Layout, f *strict.Findings) {
	rootIsIn := len(l.Factory.Subvolumes) == 0
	snapshotOf := map[string]string{} // subvolumes by the names of their snapshots
	for i, name := range l.Factory.Subvolumes {
		key := strict.Index("factory.subvolumes", i)
		v := l.subvolume(name)
		switch {
		case v == nil:
			f.Add(key, "%s", l.noSubvolume(name))
			continue
		case v.Mount == "":
			f.Add(key, "%q is not mounted, so that a boot would not use its snapshot", name)
		case v.NoDataCow:
			f.Add(key, "%q is nodatacow, and its files would be copied on write once a snapshot shares them", name)
		case path.Dir(name) != ".":
			f.Add(key, "%q lies in another subvolume; snapshots are taken of those at the top level", name)
		}
		rootIsIn = rootIsIn || v.Mount == "/"
		snapshot := FactoryName(name)
		if l.subvolume(snapshot) != nil {
			f.Add(key, "its snapshot would be named %s, as a subvolume is", snapshot)
		}
		if other := snapshotOf[snapshot]; other != "" {
			f.Add(key, "its snapshot would be named %s, as that of %q", snapshot, other)
		}
		snapshotOf[snapshot] = name
	}
	if !rootIsIn {
		f.Add("factory.subvolumes", "expected the subvolume that is mounted at / among them")
	}
}

// FactoryName returns the name of the snapshot that a factory boot uses in the
// place of a subvolume at the top level: "@factory" of "@", "@factory-var" of
// "@var" and of "var".
func FactoryName(subvolume string) string {
	if rest := strings.TrimPrefix(subvolume, "@"); rest != "" {
		return "@factory-" + rest
	}
	return "@factory"
}
