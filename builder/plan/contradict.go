package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// contradictions returns everything in which a profile and a layout do not fit
// each other or themselves, as one error of class fault.Config. Keys of the
// layout begin with "layout".
func contradictions(p *profiles.Profile, l *layouts.Layout) error {
	c := &checker{strict.NewFindings(nil), p, l}
	c.names()
	c.partitions()
	c.subvolumes()
	c.nesting()
	c.persist()
	c.factory()
	c.swap()
	c.boot()
	c.promises()
	c.parameters()
	c.users()
	c.units()
	return c.Err()
}

// checker collects contradictions.
type checker struct {
	*strict.Findings
	profile *profiles.Profile
	layout  *layouts.Layout
}

func (c *checker) names() {
	if c.profile.Name == "" || strings.ContainsFunc(c.profile.Name, notInID) {
		c.Add("name", "%q: expected letters, digits and + - _ . since boot entries are named after it", c.profile.Name)
	}
	if name := strict.PlainName(c.profile.Layout); name != c.layout.Name {
		c.Add("layout", "got layout %q, expected %q, which the profile names", c.layout.Name, name)
	}
	if c.layout.ESP.Label == c.layout.Root.Label {
		c.Add("layout.root.label", "%q: is the label of the ESP too", c.layout.Root.Label)
	}
}

// notInID reports runes that the Boot Loader Specification does not allow in
// the name of an entry.
func notInID(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-_.", r))
}

// maxESP keeps sums of sizes far from the end of int64: FAT32 cannot count
// more sectors than 32 bits.
const maxESP = 1 << 41

func (c *checker) partitions() {
	size := int64(c.layout.ESP.Size)
	switch {
	case size < minESP || size > maxESP:
		c.Add("layout.esp.size", "%d bytes, expected %d to %d: FAT32 has no others", size, int64(minESP), int64(maxESP))
	case size%Alignment != 0:
		c.Add("layout.esp.size", "%d bytes, expected a multiple of %d: partitions are aligned to it", size, Alignment)
	}
	c.mountPath("layout.esp.mount", c.layout.ESP.Mount)
	if c.layout.ESP.Mount == "/" {
		c.Add("layout.esp.mount", "is /, which the root subvolume is mounted at")
	}
	c.options("layout.root.options", c.layout.Root.Options)
}

// mountPath refuses what is not a clean absolute path, or cannot be written
// in fstab as it is.
func (c *checker) mountPath(key, p string) {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsFunc(p, notInWord) || strings.ContainsAny(p, `\#`) {
		c.Add(key, "%q: expected a clean absolute path without spaces", p)
	}
}

// options refuses mount options that the plan sets itself, and those that a
// list with commas cannot hold.
func (c *checker) options(key string, options []string) {
	for _, o := range options {
		name, _, _ := strings.Cut(o, "=")
		switch {
		case o == "" || strings.ContainsFunc(o, notInWord) || strings.Contains(o, ","):
			c.Add(key, "option %q: expected one word without commas", o)
		case slices.Contains([]string{"subvol", "subvolid", "ro", "rw"}, name):
			c.Add(key, "option %q: is decided by the plan", o)
		}
	}
}

// notInWord reports the runes that end a word of fstab or of the kernel
// command line, or that quote.
func notInWord(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' }

func (c *checker) subvolumes() {
	seen := map[string]string{c.layout.ESP.Mount: "the ESP"}
	names := map[string]bool{}
	for i, s := range c.layout.Subvolumes {
		key := strict.Index("layout.subvolumes", i)
		if s.Name == "" || path.Clean("/"+s.Name) != "/"+s.Name || strings.ContainsFunc(s.Name, notInWord) || strings.Contains(s.Name, ",") {
			c.Add(key+".name", "%q: expected a path from the top level without spaces and commas", s.Name)
		}
		if names[s.Name] {
			c.Add(key+".name", "%q: names a second subvolume", s.Name)
		}
		names[s.Name] = true
		c.options(key+".options", s.Options)
		if s.Mount == "" {
			if s.Early {
				c.Add(key+".early", "%s: is mounted nowhere", s.Name)
			}
			continue
		}
		c.mountPath(key+".mount", s.Mount)
		if other := seen[s.Mount]; other != "" {
			c.Add(key+".mount", "%s: %s is mounted there too", s.Mount, other)
		}
		seen[s.Mount] = s.Name
	}
	switch root := rootOf(c.layout); {
	case root == nil:
		c.Add("layout.subvolumes", "none is mounted at /")
	case root.NoDataCow:
		c.Add("layout.subvolumes", "%s is mounted at / and cannot be nodatacow: its files would have no checksums", root.Name)
	}
}

// nesting refuses a subvolume that the initramfs must mount below one that it
// does not.
func (c *checker) nesting() {
	for _, s := range c.layout.Subvolumes {
		for _, outer := range c.layout.Subvolumes {
			if s.Early && outer.Mount != "/" && outer.Mount != "" && !outer.Early && strings.HasPrefix(s.Mount, outer.Mount+"/") {
				c.Add("layout.subvolumes", "%s: is mounted early, but %s around it is not", s.Name, outer.Name)
			}
		}
	}
}

func (c *checker) persist() {
	tmpfs, persist := c.layout.Tmpfs, c.layout.Persist
	paths := slices.Concat(persist.Directories, persist.Files)
	if tmpfs.Size == "" && (persist.Subvolume != "" || len(paths) > 0) {
		c.Add("layout.persist", "needs layout.tmpfs_root.size: without it all of / persists")
	}
	if tmpfs.Size != "" && (strings.ContainsFunc(tmpfs.Size+tmpfs.Mode, notInWord) || strings.Contains(tmpfs.Size+tmpfs.Mode, ",") || tmpfs.Mode == "") {
		c.Add("layout.tmpfs_root", "size %q and mode %q: expected one word each", tmpfs.Size, tmpfs.Mode)
	}
	holder := subvolumeOf(c.layout, persist.Subvolume)
	switch {
	case persist.Subvolume == "" && len(paths) == 0:
		return
	case holder == nil:
		c.Add("layout.persist.subvolume", "%q: the layout has no such subvolume", persist.Subvolume)
		return
	case holder.Mount == "" || holder.Mount == "/" || !holder.Early:
		c.Add("layout.persist.subvolume", "%s: must be mounted early, and not at /, so that paths can be bound from it", persist.Subvolume)
	}
	for i, p := range paths {
		c.mountPath("layout.persist", p)
		if p == "/" || p == holder.Mount || strings.HasPrefix(p, holder.Mount+"/") {
			c.Add("layout.persist", "%s: cannot be bound from below %s", p, holder.Mount)
		}
		if slices.Contains(paths[:i], p) {
			c.Add("layout.persist", "%s: is named twice", p)
		}
	}
}

func (c *checker) factory() {
	list := c.layout.Factory.Subvolumes
	for i, name := range list {
		s := subvolumeOf(c.layout, name)
		key := strict.Index("layout.factory.subvolumes", i)
		switch {
		case s == nil:
			c.Add(key, "%q: the layout has no such subvolume", name)
		case s.Mount == "" || s.NoDataCow:
			c.Add(key, "%s: must be mounted somewhere and hold files of the source", name)
		case slices.Contains(list[:i], name):
			c.Add(key, "%s: is named twice", name)
		case subvolumeOf(c.layout, factoryName(name)) != nil:
			c.Add(key, "%s: its snapshot %s has the name of a subvolume", name, factoryName(name))
		}
	}
	if root := rootOf(c.layout); len(list) > 0 && root != nil && !slices.Contains(list, root.Name) {
		c.Add("layout.factory.subvolumes", "lacks %s, which is mounted at /", root.Name)
	}
}
