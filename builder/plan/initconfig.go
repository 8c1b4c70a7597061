package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/layouts"
)

// InitConfig returns what mkimage-init is told about the layout. It names no
// identity of the disk, so plans that differ in their seed alone have equal
// ones, but for the name of the image that goes into the journal of the first
// boot. Recipients are public keys, any of which opens all files of secrets.
func InitConfig(p *Plan, recipients []string) config.Config {
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
	c.Swapfile = initSwapfile(p)
	c.FirstBoot = initSteps(p)
	c.AgeKey = ageKey(p, recipients)
	return c
}

// initSteps returns the steps of the first boot that mkimage-init does. The
// others are for the system. A swapfile that is not there, or that has no size
// to get, leaves nothing to do.
func initSteps(p *Plan) (steps []string) {
	for _, step := range p.Profile.FirstBoot.Steps {
		switch {
		case step == config.StepGrow:
		case step == config.StepSwapfile && p.Profile.Swap.Policy != SwapNone && p.Layout.Swapfile.Size != "none":
		default:
			continue
		}
		steps = append(steps, step)
	}
	return steps
}

// initSwapfile returns the swapfile as mkimage-init is told of it, with sizes
// as plain numbers.
func initSwapfile(p *Plan) *config.Swapfile {
	if p.Swapfile == nil {
		return nil
	}
	size := p.Layout.Swapfile.Size
	if plus, ok := strings.CutPrefix(size, "ram+"); ok {
		size = "ram+" + plainSize(plus)
	} else {
		size = plainSize(size)
	}
	return &config.Swapfile{Path: p.Swapfile.Path, Target: p.Swapfile.File, Size: size, Hibernate: p.Profile.Swap.Policy == SwapHibernate}
}

// plainSize returns a size as a number of bytes, and words as they are.
func plainSize(text string) string {
	var n layouts.Size
	if n.UnmarshalText([]byte(text)) != nil {
		return text
	}
	return strconv.FormatInt(int64(n), 10)
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
