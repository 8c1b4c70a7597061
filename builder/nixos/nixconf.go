package nixos

import (
	"errors"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// nixConf is the configuration of Nix in a toplevel.
const nixConf = "etc/nix/nix.conf"

// optimises is the setting of it that AutoOptimises is about.
const optimises = "auto-optimise-store"

// AutoOptimises reports whether the Nix of a system of the tree looks for equal files in
// what it adds to the store: auto-optimise-store of its nix.conf, without which, or
// without that file, it does not. What that file includes is not looked at. Errors are
// of class fault.Input.
func AutoOptimises(t *fstree.Tree, toplevel nix.StorePath) (bool, error) {
	name := toplevel.String() + "/" + nixConf
	text, err := readText(t, name)
	if errors.Is(err, errAbsent) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	on := false
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != optimises || words[1] != "=" {
			continue
		}
		switch value := strings.Join(words[2:], " "); value {
		case "true", "yes", "1": // the words of libutil/config.cc; the last line counts
			on = true
		case "false", "no", "0":
			on = false
		default:
			return false, fault.New(fault.Input, "say it for the image: --set nix."+optimises+"=false", "%s: %s = %.100s: expected true or false", name, optimises, value)
		}
	}
	return on, nil
}
