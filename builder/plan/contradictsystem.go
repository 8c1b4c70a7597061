package plan

import (
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// minSwapfile is the smallest swap area that the kernel takes, ten pages, and
// pageSize what it is a multiple of.
const (
	pageSize    = 4096
	minSwapfile = 10 * pageSize
	maxSwapfile = 1 << 44 // 2^32 pages, which the header of a swap area can count
)

func (c *checker) swap() {
	s, policy := c.layout.Swapfile, c.profile.Swap.Policy
	if !slices.Contains([]string{SwapNone, SwapSwapfile, SwapHibernate}, policy) {
		c.Add("swap.policy", "%q: expected %s, %s or %s", policy, SwapNone, SwapSwapfile, SwapHibernate)
		return
	}
	if policy == SwapNone {
		return
	}
	holder := subvolumeOf(c.layout, s.Subvolume)
	switch {
	case s.Subvolume == "":
		c.Add("swap.policy", "%q: layout %s has no swapfile", policy, c.layout.Name)
		return
	case holder == nil:
		c.Add("layout.swapfile.subvolume", "%q: the layout has no such subvolume", s.Subvolume)
	case !holder.NoDataCow || holder.Mount == "":
		c.Add("layout.swapfile.subvolume", "%s: must be nodatacow and mounted: the kernel takes no other swapfile", s.Subvolume)
	}
	if s.Name == "" || strings.ContainsFunc(s.Name, notInWord) || strings.ContainsAny(s.Name, `/\#`) || s.Name == "." || s.Name == ".." {
		c.Add("layout.swapfile.name", "%q: expected a file name without spaces", s.Name)
	}
	if n := int64(s.Image); n != 0 && (n < minSwapfile || n > maxSwapfile || n%pageSize != 0) {
		c.Add("layout.swapfile.image", "%d bytes, expected a multiple of %d from %d to %d, or 0", n, pageSize, minSwapfile, int64(maxSwapfile))
	}
	if s.Image == 0 {
		c.Add("swap.policy", "%q: nothing makes the swapfile: layout.swapfile.image is 0", policy)
	}
	if policy == SwapHibernate && s.Size == "none" {
		c.Add("swap.policy", `%q: layout.swapfile.size is "none"`, policy)
	}
}

func (c *checker) boot() {
	if c.profile.Boot.Rescue && !c.profile.Initramfs.Shell {
		c.Add("boot.rescue", "needs initramfs.shell, which is off")
	}
}

// promises refuses to promise an entry that the boot menu does not have. Without
// a menu no entry can be looked at, and what is promised of one is left out.
func (c *checker) promises() {
	if c.profile.Boot.Loader == loaderUKI {
		return
	}
	for i, name := range c.profile.Tests.Promises {
		var set string
		switch {
		case name == "factory" && len(c.layout.Factory.Subvolumes) == 0:
			set = "layout.factory.subvolumes"
		case name == "rescue" && !c.profile.Boot.Rescue:
			set = "boot.rescue"
		default:
			continue
		}
		c.Add(strict.Index("tests.promises", i), `%s: the menu has no such entry; set %s, or take the promise away with "!%s"`, name, set, name)
	}
}

// parameters refuses kernel parameters that the plan sets itself: the kernel
// would take the last of two.
func (c *checker) parameters() {
	for _, p := range c.profile.Kernel.Parameters {
		name, _, _ := strings.Cut(p, "=")
		switch {
		case p == "" || strings.ContainsFunc(p, notInWord):
			c.Add("kernel.parameters", "%q: expected one word without quotes", p)
		case slices.Contains([]string{"root", "rootfstype", "rootflags", "ro", "rw", FactoryWord, ShellWord}, name):
			c.Add("kernel.parameters", "%q: is decided by the plan", p)
		case name == "resume" || name == "resume_offset":
			c.Add("kernel.parameters", "%q: the initramfs finds the swapfile itself, and an offset that is not true any more turns hibernation off", p)
		}
	}
}

func (c *checker) users() {
	var auto, seen []string
	uids := map[uint32]string{}
	for _, u := range c.profile.Users {
		if slices.Contains(seen, u.Name) {
			c.Add("users", "%s: is named twice", u.Name)
		} else if other := uids[u.UID]; other != "" {
			c.Add("users", "%s: has the uid %d of %s", u.Name, u.UID, other)
		}
		seen, uids[u.UID] = append(seen, u.Name), u.Name
		if u.Autologin {
			auto = append(auto, u.Name)
		}
	}
	if len(auto) > 1 {
		c.Add("users", "autologin of %s: the console has room for one", strings.Join(auto, ", "))
	}
}

func (c *checker) units() {
	u := c.profile.Units
	for _, name := range u.Enable {
		if slices.Contains(u.Disable, name) || slices.Contains(u.Mask, name) {
			c.Add("units.enable", "%s: is disabled or masked too", name)
		}
	}
	if slices.Contains(u.Mask, u.Target) {
		c.Add("units.target", "%s: is masked", u.Target)
	}
	if z := c.profile.Zram; z.Enable && (z.Percent < 1 || z.Percent > 100) {
		c.Add("zram.percent", "%d, expected 1 to 100", z.Percent)
	}
}
