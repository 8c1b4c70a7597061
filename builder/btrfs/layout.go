package btrfs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// arrangement is Params' subvolumes, snapshots and swapfiles as volumes with
// their overlays.
type arrangement struct {
	tree          *fstree.Tree
	seed          ids.Seed
	madeDir       fstree.Inode       // metadata of directories that nobody described
	volumes       []*volume          // by id, the top level first; no snapshots
	snapshots     []*volume          // by id, after all volumes
	byPath        map[string]*volume // by path from the top level
	overlays      map[*volume]*overlay
	swapfiles     []*swapfile
	defaultVolume *volume // the default subvolume
}

// arrange decides which volume holds what. The tree is not changed.
func arrange(tree *fstree.Tree, p *Params) (*arrangement, error) {
	a := &arrangement{tree: tree, seed: p.Seed, byPath: map[string]*volume{}, overlays: map[*volume]*overlay{}}
	a.madeDir = fstree.Inode{Mode: fstree.TypeDir | 0o755}
	a.madeDir.SetMTime(p.Timestamp)
	a.addVolume(&volume{id: ondisk.FSTree})
	for _, step := range []func(*Params) error{a.addSubvolumes, a.hideSources, a.addSwapfiles, a.placeSubvolumes, a.addSnapshots, a.setDefault} {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	for _, v := range a.volumes {
		v.number(p.Places.volume(v.id))
	}
	for _, v := range slices.Concat(a.volumes[1:], a.snapshots) {
		if v.ref.Name == "" {
			return nil, fmt.Errorf("btrfs: subvolume %s has no entry in %q", v.path, v.parent.path)
		}
	}
	return a, nil
}

func (a *arrangement) addVolume(v *volume) {
	v.uuid = a.seed.UUID("btrfs subvolume " + v.path)
	a.byPath[v.path] = v
	a.overlays[v] = &overlay{}
	if v.origin == nil {
		a.volumes = append(a.volumes, v)
	} else {
		a.snapshots = append(a.snapshots, v)
	}
}

// nextID is the objectid of the next subvolume: numbers are given in the order
// of the paths, volumes before snapshots.
func (a *arrangement) nextID() uint64 {
	return ondisk.FirstFree + uint64(len(a.volumes)+len(a.snapshots)-1)
}

// hideSources leaves an empty directory where the content of a subvolume was
// taken from.
func (a *arrangement) hideSources(*Params) error {
	for _, v := range a.volumes {
		if v.source == "" || v.source == "." {
			continue
		}
		holder, rest := a.sourceHolder(v.source)
		o, _, err := a.overlayAt(holder, rest)
		if err != nil {
			return fault.New(fault.ClassOf(err), fault.HintOf(err), "subvolume %s: %w", v.path, err)
		}
		o.hides = true
	}
	return nil
}

// placeSubvolumes gives every subvolume its entry in the volume that holds it.
func (a *arrangement) placeSubvolumes(*Params) error {
	for _, v := range a.volumes[1:] {
		parent, rest := a.holder(v.path)
		if err := a.putVolume(v, parent, rest); err != nil {
			return err
		}
	}
	for _, v := range a.volumes {
		v.root.over = a.overlays[v]
		if v.root.real == nil {
			v.root.over.entry = a.madeEntry(".")
		}
	}
	return nil
}

// holder returns the volume in which a path from the top level lies, other
// than one at the path itself, and the path below it.
func (a *arrangement) holder(p string) (*volume, string) {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if v := a.byPath[dir]; v != nil {
			return v, p[len(dir)+1:]
		}
	}
	return a.volumes[0], p
}

// sourceHolder returns the volume to which the directory around a path of the
// source goes, and the path below that volume's root.
func (a *arrangement) sourceHolder(source string) (*volume, string) {
	bySource := map[string]*volume{}
	for _, v := range a.volumes {
		bySource[v.source] = v
	}
	for dir := path.Dir(source); dir != "."; dir = path.Dir(dir) {
		if v := bySource[dir]; v != nil {
			return v, source[len(dir)+1:]
		}
	}
	return bySource["."], source
}

// putVolume gives subvolume v its entry in parent. An entry of the source at
// that place may only be the directory that v itself is made of, or empty.
func (a *arrangement) putVolume(v, parent *volume, p string) error {
	o, real, err := a.overlayAt(parent, p)
	if err != nil {
		return fault.New(fault.ClassOf(err), fault.HintOf(err), "subvolume %s: %w", v.path, err)
	}
	if o.volume != nil || o.swap != nil || len(o.children) > 0 || (o.hides && real != v.root.real) {
		return fault.New(fault.Usage, "give it another path", "subvolume %s: there is a directory, swapfile or subvolume at or below this path", v.path)
	}
	if real != nil && real != v.root.real && len(real.Children()) > 0 {
		return fault.New(fault.Usage, "give the subvolume another path, or this directory as its source",
			"subvolume %s: the source has a directory %s with files there", v.path, real.Path())
	}
	v.parent, o.volume = parent, v
	return nil
}

// overlayAt returns the overlay entry at a path of a volume, made with the
// directories that lead there, and the source's directory at the same place or
// nil.
func (a *arrangement) overlayAt(v *volume, p string) (*overlay, *fstree.Entry, error) {
	o, real := a.overlays[v], v.root.real
	for _, name := range splitPath(p) {
		if o.hides {
			real = nil
		}
		if real != nil {
			if real = real.Child(name); real != nil && !real.IsDir() {
				return nil, nil, fault.New(fault.Input, "", "%s: not a directory in the source", real.Path())
			}
		}
		if o.volume != nil || o.swap != nil {
			return nil, nil, fault.New(fault.Usage, "", "%s: lies in the way of %s", o.entry.Name, p)
		}
		o = o.child(name, a.madeEntry(name))
	}
	return o, real, nil
}

func (o *overlay) child(name string, entry *fstree.Entry) *overlay {
	if c := o.children[name]; c != nil {
		return c
	}
	if o.children == nil {
		o.children = map[string]*overlay{}
	}
	c := &overlay{entry: entry}
	o.children[name] = c
	at, _ := slices.BinarySearch(o.names, name)
	o.names = slices.Insert(o.names, at, name)
	return c
}

func (a *arrangement) madeEntry(name string) *fstree.Entry {
	inode := a.madeDir
	return &fstree.Entry{Name: name, Inode: &inode}
}

func (a *arrangement) addSnapshots(p *Params) error {
	snaps := slices.Clone(p.Snapshots)
	for i := range snaps {
		var err error
		if snaps[i].Path, err = cleanPath("snapshot", snaps[i].Path); err != nil {
			return err
		}
	}
	slices.SortStableFunc(snaps, func(x, y Snapshot) int { return strings.Compare(x.Path, y.Path) })
	for _, s := range snaps {
		clean := s.Path
		origin := a.byPath[strings.Trim(s.Source, "/")]
		switch {
		case origin == nil || origin.origin != nil:
			return fault.New(fault.Usage, "name a subvolume that is written, by its path from the top level", "snapshot %s: no subvolume %q", clean, s.Source)
		case a.byPath[clean] != nil:
			return fault.New(fault.Usage, "", "snapshot %s: there is a subvolume at this path", clean)
		}
		for _, f := range a.swapfiles {
			if f.holder == origin {
				return fault.New(fault.Usage, "put the swapfile into a subvolume of its own",
					"snapshot %s: subvolume %s holds swapfile %s, and the kernel refuses a swapfile that a snapshot shares", clean, origin.path, f.path)
			}
		}
		v := &volume{id: a.nextID(), path: clean, readOnly: true, origin: origin}
		a.addVolume(v)
		origin.snapshots = append(origin.snapshots, v)
		parent, rest := a.holder(clean)
		if parent.origin != nil {
			return fault.New(fault.Usage, "", "snapshot %s: lies inside read-only snapshot %s", clean, parent.path)
		}
		if err := a.putVolume(v, parent, rest); err != nil {
			return err
		}
	}
	return nil
}

func (a *arrangement) setDefault(p *Params) error {
	a.defaultVolume = a.byPath[strings.Trim(p.Default, "/")]
	if a.defaultVolume == nil {
		return fault.New(fault.Usage, "name a subvolume or snapshot that is written, by its path from the top level", "default subvolume %q: there is none", p.Default)
	}
	return nil
}

// cleanPath returns a path from the top level without slashes at its ends.
func cleanPath(what, p string) (string, error) {
	clean := strings.Trim(p, "/")
	for name := range strings.SplitSeq(clean, "/") {
		if !fstree.ValidName(name) || len(name) > ondisk.MaxNameLen {
			return "", fault.New(fault.Usage, "use a path such as @home", "%s %q: element %q is not a file name of 1 to %d bytes", what, p, name, ondisk.MaxNameLen)
		}
	}
	return clean, nil
}

// splitPath returns the elements of a clean relative path, none for ".".
func splitPath(p string) []string {
	if p == "." {
		return nil
	}
	return strings.Split(p, "/")
}
