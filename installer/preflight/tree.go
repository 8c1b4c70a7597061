package preflight

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Tree is a system whose subvolumes lie beside each other, as they do where the
// top level of its file system is mounted.
type Tree struct {
	Root   string            // the directory of what is mounted at /
	Mounts map[string]string // directories by where they are mounted in the system
}

// TreeOf returns the system of a plan, of whose file system the top level is
// mounted at a directory.
func TreeOf(p *plan.Plan, top string) Tree {
	t := Tree{Mounts: map[string]string{}}
	for _, m := range p.Mounts {
		switch {
		case m.Subvol == "":
		case m.Target == "/":
			t.Root = filepath.Join(top, m.Subvol)
		default:
			t.Mounts[m.Target] = filepath.Join(top, m.Subvol)
		}
	}
	return t
}

// Path returns where a file of the system is: name is absolute.
func (t Tree) Path(name string) string {
	name = path.Clean(name)
	best, dir := "", t.Root
	for target, at := range t.Mounts {
		if len(target) > len(best) && (name == target || strings.HasPrefix(name, target+"/")) {
			best, dir = target, at
		}
	}
	return filepath.Join(dir, strings.TrimPrefix(name, best))
}

// Programs are the places of the program of the first boot in systems, for the
// caller to try in this order.
func (t Tree) Programs() []string {
	return []string{t.Path("/usr/lib/mkimage/" + firstboot.Program), t.Path(firstboot.ProgramsDir + "/" + firstboot.Program)}
}
