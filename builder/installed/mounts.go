package installed

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/btrfs/view"
	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// systemLink is the profile of NixOS, and dpkgStatus the database of dpkg.
const (
	systemLink = "/nix/var/nix/profiles/system"
	dpkgStatus = "/" + source.DpkgStatus
)

// marks are files by which the directory is known that is mounted at a place.
var marks = []struct{ target, file string }{
	{"/nix", systemLink},
	{"/var", dpkgStatus},
	{"/", "/usr/lib/systemd/system"},
}

// mount finds out what is mounted where, and so what kind of system it is.
func (d *disk) mount() error {
	top, err := d.root.Subvolume("")
	if err != nil {
		return err
	}
	if m := d.manifest(); m != nil {
		d.view = view.New(top, planned(m))
		if found, err := d.kind(); err != nil || found {
			return err
		}
	}
	list, err := d.root.Subvolumes()
	if err != nil {
		return err
	}
	mounts, err := byContent(top, list)
	if err != nil {
		return err
	}
	d.view = view.New(top, mounts)
	found, err := d.kind()
	if err == nil && !found {
		err = fault.New(fault.Input, "", "holds neither a profile of NixOS (%s) nor a database of dpkg (%s)", systemLink, dpkgStatus)
	}
	return err
}

// kind finds out the kind of the system in the view, if there is one.
func (d *disk) kind() (found bool, err error) {
	for _, k := range []struct {
		kind diff.Kind
		file string
	}{{diff.NixOS, systemLink}, {diff.Debian, dpkgStatus}} {
		if found, err = d.view.Has(k.file); err != nil || found {
			d.out.Kind = k.kind
			return found, err
		}
	}
	return false, nil
}

// planned returns the mounts of a manifest.
func planned(m *manifest.Manifest) (mounts []view.Mount) {
	for _, p := range m.Plan.Mounts {
		if p.Subvol != "" {
			mounts = append(mounts, view.Mount{Target: p.Target, Dir: p.Subvol})
		}
	}
	return mounts
}

// byContent looks into the writable subvolumes, and the top level, for the directories
// that are mounted at the places of marks: one that is a subvolume of its own holds the
// file of the mark from there on, one in a root has it below its place. Snapshots for
// keeping are read-only.
func byContent(top *reader.Volume, list []reader.Subvolume) (mounts []view.Mount, err error) {
	dirs := []string{""}
	for _, s := range list {
		if !s.ReadOnly {
			dirs = append(dirs, s.Path)
		}
	}
	for _, mark := range marks {
		var found []string
		for _, dir := range dirs {
			for _, candidate := range []string{dir, path.Join(dir, mark.target)} {
				candidate = strings.Trim(candidate, "/")
				there, err := view.New(top, []view.Mount{{Target: "/", Dir: candidate}}).Has(strings.TrimPrefix(mark.file, strings.TrimSuffix(mark.target, "/")))
				if err != nil {
					return nil, err
				}
				if there && !slices.Contains(found, candidate) {
					found = append(found, candidate)
				}
			}
		}
		if len(found) > 1 {
			return nil, fault.New(fault.Input, "make snapshots that are kept read-only", "%d directories could be mounted at %s, and no manifest says which is: %s", len(found), mark.target, strings.Join(found, ", "))
		}
		if len(found) == 1 {
			mounts = append(mounts, view.Mount{Target: mark.target, Dir: found[0]})
		}
	}
	return mounts, nil
}
