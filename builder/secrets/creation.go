package secrets

import (
	"path/filepath"
	"slices"
	"strings"

	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// recipients checks that a file is for the machine: for the one recipient that
// the profile has, or else for all those that .sops.yaml has for the file.
func (c *checker) recipients(f *File, machine string) {
	if machine != "" {
		switch {
		case slices.Contains(f.Recipients, machine):
		case slices.Contains(f.all, machine):
			c.found.add(fault.Input, f.Name, "", "age.recipient %q does not open it alone: %d of its %d key groups are needed (shamir_threshold)",
				machine, needed(f.tree.Metadata), len(f.tree.Metadata.KeyGroups))
		default:
			c.found.add(fault.Input, f.Name, command(f.Name, "rotate -i --add-age "+machine), "age.recipient %q is none of its recipients: it is for %s", machine, quoted(f.all))
		}
		return
	}
	rules, wanted, err := wantedFor(f.Name)
	if err != nil {
		c.found.add(fault.Input, rules, "", "the rule for %s cannot be used: %v", f.Name, err)
		return
	}
	var missing []string
	for _, r := range wanted {
		if !slices.Contains(f.all, r) {
			missing = append(missing, r)
		}
	}
	if len(missing) > 0 {
		c.found.add(fault.Input, f.Name, command(f.Name, "updatekeys"), "%s has recipients for it that it is not encrypted for: %s", rules, quoted(missing))
	}
}

// noRule is what the library says when no rule of a .sops.yaml is for a file,
// which may have been encrypted with recipients on the command line.
const noRule = "no matching creation rules found"

// wantedFor returns the recipients of age that .sops.yaml has for a file, and
// the path of that .sops.yaml. It is looked for where the file is and then
// upwards; sops itself begins in its working directory. Without one, or
// without a rule for the file, there are none.
func wantedFor(name string) (rules string, wanted []string, err error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return name, nil, err
	}
	found, err := config.LookupConfigFile(path)
	if err != nil {
		return "", nil, nil // its one error is that there is none
	}
	c, err := config.LoadCreationRuleForFile(found.Path, path, nil)
	switch {
	case err != nil && strings.Contains(err.Error(), noRule), err == nil && c == nil:
		return found.Path, nil, nil
	case err != nil:
		return found.Path, nil, err
	}
	for _, group := range c.KeyGroups {
		for _, key := range group {
			if k, ok := key.(*sopsage.MasterKey); ok && !slices.Contains(wanted, k.Recipient) {
				wanted = append(wanted, k.Recipient)
			}
		}
	}
	return found.Path, wanted, nil
}
