package secrets

import (
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Set is what the secrets of a profile are taken from.
type Set struct {
	Files      map[string]*File // by their paths on the host, as the profile has them
	Recipients []string         // sorted, never none: the key of any of them opens every file
}

// Check reads the files of all secrets of a profile and checks them as Read
// does; that each has the keys that the profile asks for, encrypted; that the
// machine's recipient is among each file's; and that there is one that opens
// them all. The machine's recipient is that of the profile; without it, those
// are meant that .sops.yaml has for the file. All that is found wrong is in
// one error, of class fault.Input when it is about a file and fault.Config
// when only the profile is wrong. Without secrets the Set is nil.
func Check(p *profiles.Profile) (*Set, error) {
	if len(p.Secrets) == 0 {
		return nil, nil
	}
	c := &checker{files: map[string]*File{}}
	for _, s := range p.Secrets {
		c.secret(s)
	}
	for _, f := range c.order {
		c.recipients(f, p.Age.Recipient)
	}
	common := c.common()
	if err := c.found.err(); err != nil {
		return nil, err
	}
	return &Set{Files: c.files, Recipients: common}, nil
}

// checker checks the files of a profile.
type checker struct {
	found findings
	files map[string]*File // nil are those that were refused
	order []*File          // the others, as the profile names them
}

// secret reads a secret's file, if no other did, and looks for its key.
func (c *checker) secret(s profiles.Secret) {
	at := strict.Join("secrets", s.Name)
	if s.File == "" {
		c.found.add(fault.Config, at, "", "file is missing: expected the name of a file that sops encrypted")
		return
	}
	f, known := c.files[s.File]
	if !known {
		f = read(&c.found, s.File)
		c.files[s.File] = f
		if f != nil {
			c.order = append(c.order, f)
		}
	}
	if f != nil {
		c.key(at, s.Key, f)
	}
}

// key checks that a file has a key whose value is encrypted.
func (c *checker) key(at, key string, f *File) {
	top := f.tree.Branches[0]
	v, ok := find(top, key)
	switch {
	case key == "":
	case f.Format == Binary:
		c.found.add(fault.Config, at, `key = ""`, "key: %s is of binary format, which has no keys; found %s", f.Name, quoteKey(key))
	case !ok:
		all := keys(top, "")
		near := strict.DidYouMean(key, all)
		if near == "" {
			near = "; it has " + quoted(all)
		}
		c.found.add(fault.Config, at, "", "key: %s has no %s%s", f.Name, quoteKey(key), near)
	case !isValue(v):
		c.found.add(fault.Config, at, "", "key: %s in %s is %s, expected one value", quoteKey(key), f.Name, describe(v))
	case f.exempt[key]:
		c.found.add(fault.Input, at, "give it another name in the file, or take it out of the rule",
			"key: %s in %s is not encrypted: its rule is %s", quoteKey(key), f.Name, ruleOf(f.tree.Metadata))
	}
}

// common returns the recipients of all files, sorted.
func (c *checker) common() []string {
	var common []string
	for i, f := range c.order {
		if i == 0 {
			common = slices.Clone(f.Recipients)
			continue
		}
		if common = both(common, f.Recipients); len(common) > 0 {
			continue
		}
		hint := command(f.Name, "updatekeys") + " after .sops.yaml has one recipient for all"
		for _, g := range c.order[:i] {
			if len(both(g.Recipients, f.Recipients)) == 0 {
				c.found.add(fault.Input, f.Name, hint, "no key opens both it and %s: it is for %s, the other for %s", g.Name, quoted(f.Recipients), quoted(g.Recipients))
				return nil
			}
		}
		c.found.add(fault.Input, f.Name, hint, "no key opens it and all of the files before it, the last of which is %s: it is for %s", c.order[i-1].Name, quoted(f.Recipients))
		return nil
	}
	return common
}

// both returns the names that are in a and in b, in a's order.
func both(a, b []string) []string {
	var out []string
	for _, name := range a {
		if slices.Contains(b, name) {
			out = append(out, name)
		}
	}
	return out
}
