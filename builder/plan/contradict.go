package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// contradictions returns everything in which a profile and a layout do not fit
// each other, as one error of class fault.Config. Keys of the layout begin with
// "layout". What is wrong with one of the two alone was found when it was
// resolved, with the line that it is in.
func contradictions(p *profiles.Profile, l *layouts.Layout) error {
	c := newChecker(p, l)
	c.all()
	return c.Err()
}

func newChecker(p *profiles.Profile, l *layouts.Layout) *checker {
	return &checker{strict.NewFindings(nil), p, l}
}

// all notes every contradiction of profile and layout.
func (c *checker) all() {
	c.names()
	c.swap()
	c.secrets()
	c.forgotten()
	c.promises()
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
	if c.profile.IsMedium() {
		c.Add("kind", "%s is of kind %q, expected the profile of a system", c.profile.Name, c.profile.Kind)
	}
	if c.layout.ESP.Only {
		c.Add("layout", "%s has an ESP and nothing else, expected a layout with a root: it is for profiles of kind %q", c.layout.Name, profiles.KindRescue)
	}
	if name := strict.PlainName(c.profile.Layout); name != c.layout.Name {
		c.Add("layout", "got layout %q, expected %q, which the profile names", c.layout.Name, name)
	}
}

// notInID reports runes that the Boot Loader Specification does not allow in
// the name of an entry.
func notInID(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-_.", r))
}

// swap refuses a policy that the layout has no swapfile for.
func (c *checker) swap() {
	s, policy := c.layout.Swapfile, c.profile.Swap.Policy
	switch {
	case policy == SwapNone:
	case s.Subvolume == "":
		c.Add("swap.policy", "%q: layout %s has no swapfile", policy, c.layout.Name)
	case s.Image == 0:
		c.Add("swap.policy", "%q: the image has no swapfile: layout.swapfile.image is 0", policy)
	case policy == SwapHibernate && s.Size == "none":
		c.Add("swap.policy", `%q: layout.swapfile.size is "none"`, policy)
	}
}

// secrets refuses two files of secrets of one name: the image has them in one
// folder.
func (c *checker) secrets() {
	files := map[string]string{}
	for _, s := range c.profile.Secrets {
		base, name := path.Base(s.File), path.Clean(s.File)
		if other, known := files[base]; known && other != name {
			c.Add(strict.Join(strict.Join("secrets", s.Name), "file"), "%s: another file of secrets has that name, %s, and the image has both in one folder; rename one", name, other)
			continue
		}
		files[base] = name
	}
}

// forgotten refuses layouts where the initramfs does not see the key of the
// secrets or what was done at the first boot, or where a root in memory forgets
// it: the next boot would take what was restored for somebody else's data.
func (c *checker) forgotten() {
	for _, need := range []struct {
		dir, why string
		asked    bool
	}{
		{config.StateDir, "where it is noted what the first boot has done", len(c.profile.Secrets) > 0 || c.profile.Restore != profiles.Restore{}},
		{path.Dir(config.KeyPath), "where the key of the secrets is", len(c.profile.Secrets) > 0},
	} {
		if !need.asked {
			continue
		}
		below := func(parent string) bool { return need.dir == parent || strings.HasPrefix(need.dir, parent+"/") }
		kept := c.layout.Tmpfs.Size == "" || slices.ContainsFunc(c.layout.Persist.Directories, below)
		for _, v := range c.layout.Subvolumes {
			if v.Mount == "" || !below(v.Mount) {
				continue
			}
			kept = true
			if !v.Early {
				c.Add(strict.Join(strict.Join("layout.subvolumes", v.Name), "early"), "expected true: it has %s, %s", need.dir, need.why)
			}
		}
		if !kept {
			c.Add("layout.persist.directories", "the root in memory forgets %s, %s: add it", need.dir, need.why)
		}
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
