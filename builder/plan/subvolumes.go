package plan

import (
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/layouts"
)

// Policies of swap.
const (
	SwapNone      = "none"
	SwapSwapfile  = "swapfile"
	SwapHibernate = "hibernate"
)

// snapshotsName is the nested subvolume that a subvolume keeps snapshots of
// itself in: a snapshot does not go into those that are nested, so that it
// never holds older ones.
const snapshotsName = ".snapshots"

// makeSubvolumes divides the source: a subvolume takes the directory of its
// mount point, "/" the rest. What is not mounted, or is without copy-on-write
// and so without checksums, takes nothing.
func makeSubvolumes(l *layouts.Layout) ([]Subvolume, []Snapshot) {
	subvolumes, snapshots := []Subvolume{}, []Snapshot{}
	for _, s := range l.Subvolumes {
		subvolumes = append(subvolumes, Subvolume{
			Path: s.Name, Source: strings.Trim(s.Mount, "/"), Empty: s.Mount == "" || s.NoDataCow, NoDataCow: s.NoDataCow,
		})
		if subvolumes[len(subvolumes)-1].Empty {
			subvolumes[len(subvolumes)-1].Source = ""
		}
		if s.Snapshots {
			subvolumes = append(subvolumes, Subvolume{Path: path.Join(s.Name, snapshotsName), Empty: true})
		}
	}
	for _, name := range l.Factory.Subvolumes {
		snapshots = append(snapshots, Snapshot{Source: name, Path: layouts.FactoryName(name)})
	}
	return subvolumes, snapshots
}

// makeSwapfile returns the swapfile of the image, nil when it has none.
func makeSwapfile(p *Plan) *Swapfile {
	s := p.Layout.Swapfile
	holder := subvolumeOf(&p.Layout, s.Subvolume)
	if p.Profile.Swap.Policy == SwapNone || s.Image == 0 || holder == nil {
		return nil
	}
	return &Swapfile{Path: path.Join(s.Subvolume, s.Name), File: path.Join(holder.Mount, s.Name), Size: int64(s.Image)}
}

// subvolumeOf returns the subvolume of a layout called name, or nil.
func subvolumeOf(l *layouts.Layout, name string) *layouts.Subvolume {
	for i := range l.Subvolumes {
		if l.Subvolumes[i].Name == name {
			return &l.Subvolumes[i]
		}
	}
	return nil
}

// rootOf returns the subvolume of a layout that is mounted at /, or nil.
func rootOf(l *layouts.Layout) *layouts.Subvolume {
	for i := range l.Subvolumes {
		if l.Subvolumes[i].Mount == "/" {
			return &l.Subvolumes[i]
		}
	}
	return nil
}
