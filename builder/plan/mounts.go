package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/layouts"
)

// initrdOption marks a mount of fstab that the initramfs has made: systemd
// leaves such a mount alone until the very end of a shutdown, so that /var is
// there for the last line of the journal.
const initrdOption = "x-initrd.mount"

// espOptions keep the random seed and the entries of the ESP from other users,
// for FAT has no owners.
var espOptions = []string{"umask=0077"}

// makeMounts returns "/", then the other file systems with parents before
// children, then bind mounts.
func makeMounts(p *Plan) []Mount {
	l := &p.Layout
	mounts := []Mount{{
		Target: l.ESP.Mount, Type: "vfat", What: partuuid(p, RoleESP), Options: slices.Clone(espOptions),
	}}
	for _, s := range l.Subvolumes {
		if s.Mount == "" || s.Mount == "/" && l.Tmpfs.Size != "" {
			continue
		}
		m := Mount{
			Target: s.Mount, Type: "btrfs", What: partuuid(p, RoleRoot), Subvol: s.Name,
			Options: slices.Concat([]string{"subvol=" + s.Name}, subvolumeOptions(l, &s)), Early: s.Early || s.Mount == "/",
		}
		if s.Early && s.Mount != "/" {
			m.Options = append(m.Options, initrdOption)
		}
		mounts = append(mounts, m)
	}
	if l.Tmpfs.Size != "" {
		mounts = append(mounts, Mount{
			Target: "/", Type: "tmpfs", What: "tmpfs", Options: []string{"size=" + l.Tmpfs.Size, "mode=" + l.Tmpfs.Mode},
			Early: true, Subvol: rootOf(l).Name,
		})
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return strings.Compare(a.Target, b.Target) })
	return append(mounts, persistMounts(l)...)
}

// persistMounts returns the bind mounts of what survives in the persistent
// subvolume.
func persistMounts(l *layouts.Layout) []Mount {
	holder := subvolumeOf(l, l.Persist.Subvolume)
	if holder == nil {
		return nil
	}
	bind := func(target string, file bool) Mount {
		return Mount{
			Target: target, Type: "none", What: path.Join(holder.Mount, target),
			Options: []string{"bind", initrdOption}, Early: true, File: file,
		}
	}
	var mounts []Mount
	for _, dir := range l.Persist.Directories {
		mounts = append(mounts, bind(dir, false))
	}
	for _, file := range l.Persist.Files {
		mounts = append(mounts, bind(file, true))
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return strings.Compare(a.Target, b.Target) })
	return mounts
}

// subvolumeOptions returns the options of every mount of a subvolume, without
// subvol=.
func subvolumeOptions(l *layouts.Layout, s *layouts.Subvolume) []string {
	return slices.Concat(l.Root.Options, s.Options)
}

func partuuid(p *Plan, role string) string { return "PARTUUID=" + p.Partition(role).PARTUUID.String() }
