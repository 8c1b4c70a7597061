package esp

import (
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Limits of files and directories, from the specification.
const (
	maxFile     = 1<<32 - 1 // bytes
	maxDirSlots = 1 << 16   // a directory has at most 2 MiB
)

// node is a file or directory with the place that it gets.
type node struct {
	entry    *fstree.Entry
	parent   *node // nil for the root
	children []*node
	slots    int64 // of a directory: entries of 32 bytes in it
	short    shortName
	long     []uint16 // nil when the short name says all
	first    uint32   // first cluster; 0 for an empty file
	count    uint32   // clusters
}

// volume is everything that goes into the file system.
type volume struct {
	nodes []*node // in canonical order of the tree, the root first
}

// decide checks everything that can be checked before the first write.
func decide(t *fstree.Tree, p Params) (geometry, *volume, error) {
	p, err := p.normal()
	if err != nil {
		return geometry{}, nil, err
	}
	v, err := survey(t, p.Label != "")
	if err != nil {
		return geometry{}, nil, err
	}
	g, err := p.geometry()
	return g, v, err
}

// survey names every entry of the tree and refuses what FAT32 cannot hold.
func survey(t *fstree.Tree, labelled bool) (*volume, error) {
	root := &node{entry: t.Root()}
	if labelled {
		root.slots++
	}
	v := &volume{}
	return v, v.add(root)
}

// add puts a node and all below it into the volume.
func (v *volume) add(n *node) error {
	v.nodes = append(v.nodes, n)
	if !n.entry.IsDir() {
		return nil
	}
	if n.parent != nil {
		n.slots += 2 // "." and ".."
	}
	if err := n.nameChildren(); err != nil {
		return err
	}
	for _, c := range n.children {
		if err := v.add(c); err != nil {
			return err
		}
	}
	return nil
}

// nameChildren makes the nodes of a directory's children, with their names.
func (n *node) nameChildren() error {
	children := n.entry.Children()
	if err := checkCase(n.entry); err != nil {
		return err
	}
	taken := newAliases(children)
	for _, e := range children {
		c, err := newNode(e, n, taken)
		if err != nil {
			return fault.New(fault.Input, "", "%s: FAT32 cannot hold it: %w", e.Path(), err)
		}
		n.children = append(n.children, c)
		n.slots += c.entrySlots()
	}
	if n.slots > maxDirSlots {
		return fault.New(fault.Input, "divide it, or shorten the names", "%s: FAT32 cannot hold it: its names take %d directory entries, expected at most %d",
			n.entry.Path(), n.slots, maxDirSlots)
	}
	return nil
}

func newNode(e *fstree.Entry, parent *node, taken *aliases) (*node, error) {
	switch {
	case !e.IsDir() && !e.IsRegular():
		return nil, fmt.Errorf("it is a %s", e.TypeName())
	case e.Size > maxFile:
		return nil, fmt.Errorf("a file of %d bytes, expected at most %d", e.Size, int64(maxFile))
	case e.Size < 0 || e.IsDir() && e.Size != 0:
		return nil, fmt.Errorf("a %s of %d bytes", e.TypeName(), e.Size)
	}
	c := &node{entry: e, parent: parent}
	long, err := longName(e.Name)
	if err != nil {
		return nil, err
	}
	exact := false
	if c.short, exact = exactShort(e.Name); !exact {
		c.short, c.long = taken.alias(e.Name), long
	}
	return c, nil
}

// size returns the bytes that a node's clusters hold.
func (n *node) size() int64 {
	if n.entry.IsDir() {
		return max(1, n.slots) * slotSize // even an empty root has a cluster
	}
	return n.entry.Size
}

// clusters returns how many clusters of a size the volume takes.
func (v *volume) clusters(clusterSize int64) (sum int64) {
	for _, n := range v.nodes {
		sum += ceil(n.size(), clusterSize)
	}
	return sum
}

// place gives every node its clusters, one after the other. The volume must
// fit.
func (v *volume) place(clusterSize int64) {
	next := uint32(firstCluster)
	for _, n := range v.nodes {
		if n.count = uint32(ceil(n.size(), clusterSize)); n.count > 0 {
			n.first = next
			next += n.count
		}
	}
}
