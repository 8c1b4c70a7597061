// Package mounts compares what the NixOS systems of a tree mount with what a plan has on
// the disk, and makes a layout of what a system mounts.
//
// A system says what it mounts in etc/fstab of its toplevel. The initramfs that starts it
// first goes by the plan, but that of NixOS, which the next nixos-rebuild puts into its
// place, goes by the same options as this table: an image in which the two differ would
// start once, and lose sight of its data, or of its root, later.
//
// What it does not do: it cannot tell what a unit of the system mounts, and asks for no
// mount that is bound, since some modules of NixOS bind by units.
package mounts

import (
	"fmt"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nixos"
)

// tableName is where a toplevel has its table.
const tableName = "/etc/fstab"

// maxTable bounds a table, in bytes.
const maxTable = 1 << 20

// table is what a system mounts.
type table struct {
	file  string // its path in the tree, by the toplevel of the system
	lines []fstab.Line
	makes []string // swapfiles that the system makes itself, where they are not there
}

// tables returns the tables of all generations and their specialisations, that of the
// current one first. One that says the same as another before it is left out.
func tables(t *fstree.Tree) ([]table, error) {
	generations, err := nixos.Generations(t)
	if err != nil {
		return nil, fault.New(fault.Input, fault.HintOf(err), "source: %w", err)
	}
	var all []table
	seen := map[string]bool{}
	for _, g := range generations {
		for _, spec := range g.Spec.All() {
			file := spec.Toplevel.String() + tableName
			text, err := read(t, file)
			if err != nil {
				return nil, err
			}
			lines, err := fstab.Parse(text)
			if err != nil {
				return nil, fault.New(fault.Input, "", "source: %s: %w", file, err)
			}
			makes, err := madeSwapfiles(t, spec.Toplevel.String(), lines)
			if err != nil {
				return nil, err
			}
			key := strings.Join(append(makes, text), "\n")
			if !seen[key] {
				all = append(all, table{file, lines, makes})
			}
			seen[key] = true
		}
	}
	return all, nil
}

// unitsDir is where a toplevel has its units.
const unitsDir = "/etc/systemd/system/"

// madeSwapfiles returns those of the swapfiles of a table that a unit makes when the
// system starts: for one of which a configuration says the size NixOS has such a unit.
func madeSwapfiles(t *fstree.Tree, toplevel string, lines []fstab.Line) (files []string, err error) {
	for _, l := range lines {
		if !l.IsSwap() || !path.IsAbs(l.What) || strings.HasPrefix(l.What, "/dev/") {
			continue
		}
		unit, err := t.Follow(toplevel + unitsDir + mkswapUnit(l.What))
		if err != nil {
			return nil, fault.New(fault.Input, "", "source: %w", err)
		}
		if unit != nil {
			files = append(files, l.What)
		}
	}
	return files, nil
}

// escaped are the characters that NixOS escapes in the name of a unit (escapeSystemdPath of
// nixos/lib/utils.nix).
const escaped = " !\"#$%&'()*+,;<=>@[\\]^`{|}~-"

// mkswapUnit returns the name of the unit that makes a swapfile: its path as in other
// names of units, but without the backslashes (nixos/modules/config/swap.nix).
func mkswapUnit(file string) string {
	var b strings.Builder
	for i, c := range []byte(strings.Trim(path.Clean(file), "/")) {
		switch {
		case c == '/':
			b.WriteByte('-')
		case strings.IndexByte(escaped, c) >= 0 || c == '.' && i == 0:
			fmt.Fprintf(&b, "x%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	return "mkswap-" + b.String() + ".service"
}

// read returns a table. That there is none is an error: NixOS makes one of every
// configuration, also of one that mounts nothing.
func read(t *fstree.Tree, file string) (string, error) {
	e, err := t.Follow(file)
	if err != nil {
		return "", fault.New(fault.Input, "", "source: %w", err)
	}
	if e == nil {
		return "", fault.New(fault.Input, "take the whole closure of the system", "source: %s: is not there, expected the table of what the system mounts, which NixOS always makes", file)
	}
	data, err := e.Read(maxTable)
	if err != nil {
		return "", fault.New(fault.Input, "", "source: %s: %w", file, err)
	}
	return string(data), nil
}
