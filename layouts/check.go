package layouts

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// Bounds of sizes, in bytes.
const (
	minESP  = 64 << 20 // FAT32 needs 65525 clusters; below this they would be of one sector and hold no kernel
	maxESP  = 4 << 30
	maxFree = 1 << 46
	align   = 1 << 20 // of partitions
	minSwap = 1 << 20
	maxSwap = 1 << 44 // 2^32 pages, which the header of a swap area can count
	page    = 4096    // of swap areas
)

// Lengths of names, in bytes.
const (
	maxFATLabel       = 11  // FAT specification, BS_VolLab
	maxPartitionLabel = 36  // UEFI specification 5.3.3: 36 UTF-16 code units
	maxComponent      = 255 // of a path on btrfs
)

// check notes everything that is wrong with a layout whose types are right.
func check(l *Layout, f *strict.Findings) {
	checkESP(l, f)
	if l.ESP.Only {
		checkNothingElse(l, f)
		return
	}
	checkRoot(l, f)
	checkSubvolumes(l, f)
	checkMounts(l, f)
	checkSwapfile(l, f)
	checkTmpfs(l, f)
	checkPersist(l, f)
	checkFactory(l, f)
}

func checkESP(l *Layout, f *strict.Findings) {
	if s := l.ESP.Size; (s < minESP || s > maxESP || s%align != 0) && !(s == 0 && l.ESP.Only) {
		f.Add("esp.size", "expected %v to %v in whole MiB, found %v", Size(minESP), Size(maxESP), s)
	}
	if !isFATLabel(l.ESP.Label) {
		f.Add("esp.label", "expected 1 to %d of A-Z 0-9 _ -, found %q", maxFATLabel, l.ESP.Label)
	}
	if !isMountPoint(l.ESP.Mount) || l.ESP.Mount == "/" {
		f.Add("esp.mount", "expected an absolute path below /, such as /boot, found %q", l.ESP.Mount)
	}
}

// checkNothingElse refuses what a disk that has an ESP only cannot have.
func checkNothingElse(l *Layout, f *strict.Findings) {
	r, p := &l.Root, &l.Persist
	for _, table := range []struct {
		key  string
		said bool
	}{
		{"root", r.Label != "" || len(r.Options) > 0 || r.Metadata != "" || r.Free != 0},
		{"subvolumes", len(l.Subvolumes) > 0},
		{"swapfile", l.Swapfile != Swapfile{}},
		{"tmpfs_root", l.Tmpfs != TmpfsRoot{}},
		{"persist", p.Subvolume != "" || len(p.Directories)+len(p.Files) > 0},
		{"factory", len(l.Factory.Subvolumes) > 0},
	} {
		if table.said {
			f.Add(table.key, "esp.only is true: then there is nothing else on the disk, leave it out")
		}
	}
}

// isFATLabel reports whether a volume label has only characters that are the
// same in every code page, so that blkid prints what was asked for.
func isFATLabel(s string) bool {
	return s != "" && len(s) <= maxFATLabel && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z')
	})
}

func checkRoot(l *Layout, f *strict.Findings) {
	r := &l.Root
	if r.Label == "" || len(r.Label) > maxPartitionLabel || !isPlain(r.Label) || strings.Contains(r.Label, "/") {
		f.Add("root.label", "expected 1 to %d printable ASCII characters without spaces, slashes, quotes or commas, found %q", maxPartitionLabel, r.Label)
	}
	if r.Label == l.ESP.Label && r.Label != "" {
		f.Add("root.label", "the ESP has the label %q too", r.Label)
	}
	if kinds := []string{"dup", "single"}; !slices.Contains(kinds, r.Metadata) {
		f.Add("root.metadata", "expected dup or single, found %q", r.Metadata)
	}
	if r.Free > maxFree {
		f.Add("root.free", "expected at most %v, found %v", Size(maxFree), r.Free)
	}
	checkRootOptions(r.Options, f)
}

func checkSubvolumes(l *Layout, f *strict.Findings) {
	var names []string
	for _, s := range l.Subvolumes {
		names = append(names, s.Name)
	}
	roots := 0
	for _, s := range l.Subvolumes {
		key := strict.Join("subvolumes", s.Name)
		if s.Mount == "/" {
			roots++
			if s.NoDataCow {
				f.Add(strict.Join(key, "nodatacow"), "expected false: the files of / would have no checksums")
			}
		}
		switch dir := path.Dir(s.Name); {
		case !isSubvolumePath(s.Name):
			f.Add(key, "expected a path from the top level, such as @home, without .. or special characters")
		case dir != "." && !slices.Contains(names, dir):
			f.Add(key, "lies in %q, which is not a subvolume of this layout%s", dir, strict.DidYouMean(dir, names))
		}
		if s.Snapshots && slices.Contains(names, s.Name+"/.snapshots") {
			f.Add(strict.Join(key, "snapshots"), "%s/.snapshots is listed as a subvolume of its own", s.Name)
		}
		checkSubvolumeOptions(s, strict.Join(key, "options"), f)
	}
	if roots != 1 {
		f.Add("subvolumes", "expected exactly one to be mounted at /, found %d", roots)
	}
}

// isSubvolumePath reports whether s can be the path of a subvolume and stand
// in a mount option and on the kernel's command line.
func isSubvolumePath(s string) bool {
	if s == "" || s != path.Clean(s) || path.IsAbs(s) || !isPlain(s) {
		return false
	}
	return !slices.ContainsFunc(strings.Split(s, "/"), func(c string) bool {
		return c == "." || c == ".." || len(c) > maxComponent
	})
}

// isMountPoint reports whether s is an absolute path in its shortest form that
// fstab can hold without escapes.
func isMountPoint(s string) bool {
	return path.IsAbs(s) && s == path.Clean(s) && isPlain(s)
}

// isPlain reports whether s is of printable ASCII without what separates words
// and options.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"'\\,:#$", r)
	})
}

// early are the directories that something needs before the system's fstab is
// read, where they are subvolumes of their own.
var early = []string{"/", "/etc", "/nix", "/usr", "/var"}

// IsEarly reports whether a subvolume that is mounted there has to be early.
func IsEarly(mount string) bool { return slices.Contains(early, mount) }

func checkMounts(l *Layout, f *strict.Findings) {
	at := map[string]string{l.ESP.Mount: "the ESP"}
	lateAt := map[string]string{}
	for _, s := range l.Subvolumes {
		key := strict.Join("subvolumes", s.Name)
		mount := strict.Join(key, "mount")
		switch {
		case s.Mount == "" && s.Early:
			f.Add(strict.Join(key, "early"), "is not mounted at all: set mount")
		case s.Mount == "":
			continue
		case !isMountPoint(s.Mount):
			f.Add(mount, "expected an absolute path, such as /home, found %q", s.Mount)
		case at[s.Mount] != "":
			f.Add(mount, "%s is where %s is mounted", s.Mount, at[s.Mount])
		}
		at[s.Mount] = s.Name
		if !s.Early {
			lateAt[s.Mount] = s.Name
		}
		if !s.Early && IsEarly(s.Mount) {
			f.Add(strict.Join(key, "early"), "expected true: %s is needed before fstab is read", s.Mount)
		}
	}
	for _, s := range l.Subvolumes {
		for dir := s.Mount; s.Early && dir != "/" && dir != "."; {
			dir = path.Dir(dir)
			if late := lateAt[dir]; late != "" && dir != "/" {
				f.Add(strict.Join(strict.Join("subvolumes", s.Name), "early"), "%s would be hidden by %s, which is mounted later at %s", s.Mount, late, dir)
			}
		}
	}
}

func (l *Layout) subvolume(name string) *Subvolume {
	i := slices.IndexFunc(l.Subvolumes, func(s Subvolume) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &l.Subvolumes[i]
}

// noSubvolume says that a name is none of the layout's subvolumes.
func (l *Layout) noSubvolume(name string) string {
	var names []string
	for _, s := range l.Subvolumes {
		names = append(names, s.Name)
	}
	return fmt.Sprintf("%q is not a subvolume of this layout%s", name, strict.DidYouMean(name, names))
}

// inside reports whether path p is dir or below it.
func inside(dir, p string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
