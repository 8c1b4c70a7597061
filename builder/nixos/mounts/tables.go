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
			if seen[text] {
				continue
			}
			seen[text] = true
			lines, err := fstab.Parse(text)
			if err != nil {
				return nil, fault.New(fault.Input, "", "source: %s: %w", file, err)
			}
			all = append(all, table{file, lines})
		}
	}
	return all, nil
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
