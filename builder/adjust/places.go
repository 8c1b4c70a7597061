package adjust

import (
	"path"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// mountPoints makes the directories that file systems are mounted on. What the
// source has there goes into the subvolume of that name; where nothing of the
// source goes in, it would be hidden, which is refused.
func (e *editor) mountPoints() error {
	for _, m := range e.plan.Mounts {
		if m.Type == "none" || m.Target == "/" {
			continue
		}
		dir, err := e.mkdir(m.Target)
		if err != nil {
			return err
		}
		if m.Type == "btrfs" && e.takesNothing(m.Subvol) && len(dir.Children()) > 0 {
			e.Add("layout.subvolumes", "%s: mounted at %s, would hide %s of the source", m.Subvol, m.Target, dir.Children()[0].Path())
		}
	}
	return nil
}

func (e *editor) takesNothing(subvolume string) bool {
	for _, s := range e.plan.Subvolumes {
		if s.Path == subvolume {
			return s.Empty
		}
	}
	return false
}

// persist moves what survives a power-off from its place in the source to
// where it will be bound from, and leaves the mount points. What the source
// lacks begins as an empty directory or file.
func (e *editor) persist() error {
	for _, m := range e.plan.Mounts {
		if m.Type == "none" {
			if err := e.persistOne(m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *editor) persistOne(m plan.Mount) error {
	old := e.lookup(m.Target)
	mode := fstree.TypeDir | 0o755
	if m.File {
		mode = fstree.TypeRegular | 0o644
	}
	if old != nil && old.IsDir() == m.File || old != nil && !old.IsDir() && !old.IsRegular() {
		e.Add("layout.persist", "%s: is a %s in the source", m.Target, old.TypeName())
		return nil
	}
	if old == nil {
		if err := e.add(m.Target, e.inode(mode)); err != nil {
			return err
		}
		return e.add(m.What, e.inode(mode))
	}
	parent := old.Parent()
	mountPoint := e.inode(old.Mode)
	mountPoint.UID, mountPoint.GID = old.UID, old.GID
	parent.Remove(old)
	if _, err := parent.Add(old.Name, mountPoint); err != nil {
		return err
	}
	dir, err := e.mkdir(path.Dir(m.What))
	if err != nil {
		return err
	}
	if taken := dir.Child(old.Name); taken != nil {
		e.Add("layout.persist", "%s: the source has %s too", m.Target, taken.Path())
		return nil
	}
	_, err = graft(dir, old.Name, old)
	return err
}

// keepMachineID masks the unit that writes a machine id of the run to the disk
// where the id persists by a bind mount: systemd has written it to the disk
// already, but the unit takes every mount at this path for one in memory, and
// would fail at each boot.
func (e *editor) keepMachineID() error {
	for _, m := range e.plan.Mounts {
		if m.Type == "none" && m.Target == machineID {
			return e.symlink(configDir+"/systemd-machine-id-commit.service", "/dev/null")
		}
	}
	return nil
}

// add puts a new inode at a path whose parents may be missing. A directory
// that is there already stays.
func (e *editor) add(p string, inode *fstree.Inode) error {
	dir, err := e.mkdir(path.Dir(p))
	if err != nil {
		return err
	}
	if old := dir.Child(path.Base(p)); old != nil && old.IsDir() == inode.IsDir() {
		return nil
	}
	_, err = dir.Add(path.Base(p), inode)
	return err
}
