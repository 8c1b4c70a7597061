package disks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// users are the mounts, swap areas and loop devices of a machine, by the device
// that they have.
type users struct {
	scanner *Scanner
	mounts  map[string][]string // mount points, by MAJOR:MINOR or by name of a device
	swaps   map[string]bool     // by name
	loops   map[string][]string // names of loop devices, by the path of a file or by name of a device
}

// users reads who uses which devices. A machine without swap has no
// /proc/swaps; one without mounts there is not.
func (s *Scanner) users() (*users, error) {
	u := &users{scanner: s, mounts: map[string][]string{}, swaps: map[string]bool{}, loops: map[string][]string{}}
	data, err := os.ReadFile(filepath.Join(s.Proc, "self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("list of mounts: %w", err)
	}
	for _, m := range mountinfo.Parse(string(data)) {
		u.addMount(m.Number, m.Point)
		// The number of btrfs is of the file system, not of a device (statx(2)).
		if name := s.nodeOf(m.Source); name != "" {
			u.addMount(name, m.Point)
		}
	}
	u.addBtrfs()
	swaps, _ := os.ReadFile(filepath.Join(s.Proc, "swaps"))
	for _, path := range parseSwaps(string(swaps)) {
		if name := s.nodeOf(path); name != "" {
			u.swaps[name] = true
		}
	}
	u.addLoops()
	return u, nil
}

func (u *users) addMount(key, point string) {
	if !slices.Contains(u.mounts[key], point) {
		u.mounts[key] = append(u.mounts[key], point)
	}
}

// addBtrfs adds the devices of mounted btrfs file systems that no mount names:
// a mount names one device of several, and not those of other name spaces.
func (u *users) addBtrfs() {
	list, _ := filepath.Glob(filepath.Join(u.scanner.Sys, "fs/btrfs/*/devices/*"))
	for _, entry := range list {
		name := filepath.Base(entry)
		if len(u.mounts[name]) == 0 {
			u.addMount(name, "btrfs "+filepath.Base(filepath.Dir(filepath.Dir(entry))))
		}
	}
}

func (u *users) addLoops() {
	list, _ := filepath.Glob(filepath.Join(u.scanner.Sys, "block/loop*/loop/backing_file"))
	for _, entry := range list {
		dir := filepath.Dir(filepath.Dir(entry))
		backing := attribute(dir, "loop/backing_file")
		u.loops[backing] = append(u.loops[backing], filepath.Base(dir))
		if name := u.scanner.nodeOf(backing); name != "" {
			u.loops[name] = append(u.loops[name], filepath.Base(dir))
		}
	}
}

// nodeOf returns the kernel's name of the device of a node, "" for other paths.
func (s *Scanner) nodeOf(path string) string {
	rest, ok := strings.CutPrefix(path, "/dev/")
	if !ok {
		return ""
	}
	root, err := filepath.EvalSymlinks(s.Dev)
	if err != nil {
		return ""
	}
	node, err := filepath.EvalSymlinks(filepath.Join(root, rest))
	if err != nil { // /dev/root is where no such node is
		return ""
	}
	name, err := filepath.Rel(root, node)
	if err != nil || strings.HasPrefix(name, "..") {
		return ""
	}
	return strings.ReplaceAll(name, "/", "!")
}

// of returns the uses of a disk and its partitions.
func (u *users) of(b *device) []Use {
	uses := u.ofDevice(b.name, b.dir, b.name, nil)
	for _, p := range b.partitions {
		uses = append(uses, u.ofDevice(p.name, filepath.Join(b.dir, p.name), p.name, nil)...)
	}
	return uses
}

// ofDevice returns the uses of a device, and of all that is made of it, as uses
// of the disk or partition below.
func (u *users) ofDevice(name, dir, below string, way []string) []Use {
	if slices.Contains(way, name) { // of a tree that is not the kernel's
		return nil
	}
	var uses []Use
	points := slices.Clone(u.mounts[name])
	for _, p := range u.mounts[attribute(dir, "dev")] {
		if !slices.Contains(points, p) {
			points = append(points, p)
		}
	}
	for _, p := range points {
		uses = append(uses, Use{below, "mount", p})
	}
	if u.swaps[name] {
		uses = append(uses, Use{below, "swap", "swap"})
	}
	holders := slices.Clone(u.loops[name])
	entries, _ := os.ReadDir(filepath.Join(dir, "holders"))
	for _, e := range entries {
		holders = append(holders, e.Name())
	}
	for _, h := range holders {
		uses = append(uses, Use{below, "holder", h})
		if b, err := u.scanner.device(h); err == nil {
			uses = append(uses, u.ofDevice(h, b.dir, below, append(way, name))...)
			for _, p := range b.partitions { // of an array
				uses = append(uses, u.ofDevice(p.name, filepath.Join(b.dir, p.name), below, append(way, name))...)
			}
		}
	}
	return uses
}

// parseSwaps returns the paths in /proc/swaps, whose first line is a head.
func parseSwaps(text string) []string {
	var paths []string
	_, lines, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(lines) {
		if f := strings.Fields(line); len(f) > 1 {
			paths = append(paths, mountinfo.Unescape(f[0]))
		}
	}
	return paths
}
