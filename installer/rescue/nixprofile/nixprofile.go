// Package nixprofile chooses a generation of a NixOS that does not run.
package nixprofile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Dir is where generations are, from the root of a system.
const Dir = "nix/var/nix/profiles"

// current is the link that names the generation in use, and temporary what it is
// made as: a name that Nix takes for a generation of no profile.
const (
	current   = "system"
	temporary = "system.mkimage-new"
)

var generation = regexp.MustCompile(`^system-([1-9][0-9]*)-link$`)

// Current returns the number of the generation that the profile of a system names.
// The error is of class fault.Target where it names none.
func Current(root *os.Root) (int, error) {
	link, err := root.Readlink(path.Join(Dir, current))
	if err != nil {
		return 0, fault.New(fault.Target, "", "profile of the system: %w", err)
	}
	m := generation.FindStringSubmatch(path.Base(link))
	if m == nil {
		return 0, fault.New(fault.Target, "", "profile of the system: leads to %s, expected system-NUMBER-link beside it", link)
	}
	return strconv.Atoi(m[1])
}

// Use has the profile of a system name one of its generations, as nixos-rebuild
// --rollback does: the next one that is built follows it, and a collection of
// garbage keeps it. The menu is not changed. It can be cut anywhere, and the
// profile names the one or the other. The error is of class fault.Usage where there
// is no such generation.
func Use(root *os.Root, number int) error {
	link := fmt.Sprintf("system-%d-link", number)
	top, err := root.Readlink(path.Join(Dir, link))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, "the inventory lists the generations", "generation %d: the system has none of this number", number)
	}
	if err == nil {
		_, err = root.Lstat(path.Join("./", top))
	}
	if err != nil {
		return fault.New(fault.Target, "choose another one", "generation %d: %w", number, err)
	}
	at := path.Join(Dir, temporary)
	if err := root.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.Symlink(link, at); err != nil {
		return err
	}
	if err := root.Rename(at, path.Join(Dir, current)); err != nil {
		return err
	}
	dir, err := root.Open(Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
