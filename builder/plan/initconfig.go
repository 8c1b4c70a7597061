package plan

import (
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// InitConfig returns what mkimage-init is told about the layout. It names no
// identity, so plans that differ in their seed alone have equal ones.
func InitConfig(p *Plan) config.Config {
	l := &p.Layout
	c := config.Config{Version: config.Version}
	root := rootOf(l)
	c.Mounts = []config.Mount{{Subvolume: root.Name, Target: "/", Options: subvolumeOptions(l, root)}}
	if l.Tmpfs.Size != "" {
		c.Tmpfs = &config.Tmpfs{Size: l.Tmpfs.Size, Mode: l.Tmpfs.Mode}
	}
	for _, m := range p.Mounts {
		switch {
		case !m.Early || m.Target == "/":
		case m.Type == "btrfs":
			c.Mounts = append(c.Mounts, config.Mount{Subvolume: m.Subvol, Target: m.Target, Options: kernelOptions(m.Options)})
		case m.Type == "none":
			c.Binds = append(c.Binds, config.Bind{From: m.What, To: m.Target, File: m.File})
		}
	}
	c.Factory = factoryMounts(p)
	return c
}

// factoryMounts returns the factory snapshots at the places of what they were
// taken of, parents first.
func factoryMounts(p *Plan) []config.Mount {
	var mounts []config.Mount
	for _, s := range p.Snapshots {
		origin := subvolumeOf(&p.Layout, s.Source)
		mounts = append(mounts, config.Mount{Subvolume: s.Path, Target: origin.Mount, Options: subvolumeOptions(&p.Layout, origin)})
	}
	slices.SortFunc(mounts, func(a, b config.Mount) int { return strings.Compare(a.Target, b.Target) })
	return mounts
}

// kernelOptions returns the options that mean something to the kernel, without
// subvol=, which config.Mount says apart.
func kernelOptions(options []string) []string {
	return slices.DeleteFunc(slices.Clone(options), func(o string) bool {
		return strings.HasPrefix(o, "subvol=") || strings.HasPrefix(o, "x-")
	})
}
