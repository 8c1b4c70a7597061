// Package nixos makes a NixOS system of store objects, as nixos-install would, and
// finds the systems of a tree.
//
// A NixOS system is a store object, its toplevel, with all that this refers to, and
// links of a profile that name it: generations. The rest of its root file system is
// made when it is activated, at each boot.
//
// What it does not do: it runs nothing of a system, and makes no boot menu.
package nixos

import (
	"fmt"
	"path"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// Places of Nix and NixOS, from the root.
const (
	stateDir    = "nix/var/nix"
	profilesDir = stateDir + "/profiles"
	systemLink  = profilesDir + "/system"
	marker      = "etc/NIXOS" // which nixos-rebuild and the activation look for
)

// Database is where a store has its database, from the root.
const Database = stateDir + "/db/db.sqlite"

// System is what Install makes of a tree.
type System struct {
	Toplevels []nix.StorePath // generations 1 and on; the last is the current one
	Database  []byte          // of the store, as package storedb writes it
	Epoch     time.Time       // of all that is made
}

// Install adds to a tree that has the objects of some systems in its store what makes
// them generations: the database, the profile with its links, roots of the garbage
// collection, and the directories that Nix and the activation expect. Errors are of
// class fault.Input.
func Install(t *fstree.Tree, s System) error {
	m := &maker{tree: t, epoch: s.Epoch}
	for i, top := range s.Toplevels {
		e := t.Lookup(top.String())
		if e == nil || !e.IsDir() {
			return fault.New(fault.Input, "name the toplevel of a system: config.system.build.toplevel", "%s: is not in the store as a directory, so it is no system", top)
		}
		m.link(fmt.Sprintf("%s-%d-link", systemLink, i+1), top.String())
	}
	m.link(systemLink, fmt.Sprintf("system-%d-link", len(s.Toplevels)))
	m.file(Database, s.Database)
	m.file(path.Dir(Database)+"/schema", []byte(storedb.Schema))
	// What nix-store and nixos-install make; the activation adds to it.
	for _, dir := range []string{profilesDir + "/per-user/root", stateDir + "/gcroots/per-user/root", stateDir + "/temproots"} {
		m.dir(dir, 0o755)
	}
	m.link(stateDir+"/gcroots/profiles", "/"+profilesDir)
	m.file(marker, nil)
	m.dir("root", 0o700)
	m.dir("tmp", 0o1777)
	for _, dir := range []string{"dev", "proc", "run", "sys", "var"} {
		m.dir(dir, 0o755)
	}
	return m.err
}

// maker adds to a tree, up to the first error.
type maker struct {
	tree  *fstree.Tree
	epoch time.Time
	err   error
}

func (m *maker) inode(mode uint32) *fstree.Inode {
	n := &fstree.Inode{Mode: mode}
	n.SetMTime(m.epoch)
	return n
}

// add puts an inode at a path that is not taken.
func (m *maker) add(name string, inode *fstree.Inode) {
	if m.err != nil {
		return
	}
	dir, err := m.tree.MkdirAll(path.Dir(name), m.inode(0))
	if err == nil {
		_, err = dir.Add(path.Base(name), inode)
	}
	if err != nil {
		m.err = fault.New(fault.Input, "", "/%s: %w", name, err)
	}
}

func (m *maker) dir(name string, perm uint32) { m.add(name, m.inode(fstree.TypeDir|perm)) }

func (m *maker) file(name string, data []byte) {
	n := m.inode(fstree.TypeRegular | 0o644)
	n.Size, n.Content = int64(len(data)), fstree.Bytes(data)
	m.add(name, n)
}

func (m *maker) link(name, target string) {
	n := m.inode(fstree.TypeSymlink | 0o777)
	n.Size, n.Link = int64(len(target)), target
	m.add(name, n)
}
