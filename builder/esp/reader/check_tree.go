package reader

import (
	"strings"
)

// place is a directory to be checked. It has its parent and no path: the paths
// of nested directories would take memory by the square of their depth.
type place struct {
	parent *place // nil for the root
	name   string
	first  uint32
	runs   []run
}

// maxPath is the length from which on a path is not shown in full.
const maxPath = 4096

// path returns the path of a name in the directory; "" is the directory itself.
func (p *place) path(name string) string {
	if p.parent == nil {
		if name == "" {
			return "."
		}
		return name
	}
	parts := []string{name}
	length := len(name)
	for ; p.parent != nil; p = p.parent {
		if length += len(p.name) + 1; length > maxPath {
			parts = append(parts, "...")
			break
		}
		parts = append(parts, p.name)
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
		if i > 0 && parts[i-1] != "" {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// tree checks every directory and the chain of every file.
func (c *checker) tree() {
	root := &place{first: c.fs.boot.root}
	var whole bool
	if root.runs, _, whole = c.chain(root.first, ".", true); !whole {
		return
	}
	for todo := []*place{root}; len(todo) > 0 && !c.stop(); {
		p := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], c.directory(p)...)
		p.runs = nil
	}
}

// directory checks one directory and returns those in it.
func (c *checker) directory(p *place) (below []*place) {
	raw, err := c.fs.readRuns(p.runs)
	if err != nil {
		c.report(KindUnreadable, p.path(""), "%v", err)
		return nil
	}
	d := decodeDirectory(raw)
	for _, b := range d.bad {
		c.report(b.kind, p.path(""), "%s", b.text)
	}
	c.dots(p, d)
	c.labels(p, d)
	c.duplicates(p, d)
	for i := range d.entries {
		e := &d.entries[i]
		if !e.isDir() {
			c.file(p, e)
			continue
		}
		if e.size != 0 {
			c.report(KindSize, p.path(e.name), "a directory with a size of %d bytes, expected 0", e.size)
		}
		if runs, _, whole := c.chain(e.first, p.path(e.name), true); whole {
			below = append(below, &place{parent: p, name: e.name, first: e.first, runs: runs})
		}
	}
	return below
}

// file checks that a file has the clusters that its size needs.
func (c *checker) file(p *place, e *entry) {
	if e.first == 0 && e.size == 0 {
		return
	}
	_, n, whole := c.chain(e.first, p.path(e.name), false)
	if want := c.fs.clustersOf(int64(e.size)); whole && n != want {
		c.report(KindSize, p.path(e.name), "%d bytes need %d clusters, its chain has %d", e.size, want, n)
	}
}

// chain marks the clusters of a chain as used and returns how many there are,
// and which for a directory. The chain is whole if nothing was reported.
func (c *checker) chain(first uint32, path string, isDir bool) (runs []run, n int64, whole bool) {
	most := max(1, maxSlots*slotSize/c.fs.boot.cluster)
	for cluster := first; ; n++ {
		if n > 0 && cluster >= entryEnd {
			break
		}
		if !c.usable(cluster, path, n) {
			return nil, n, false
		}
		if c.isUsed(cluster) {
			if c.within(first, cluster, n) {
				c.report(KindLoop, path, "its chain leads back to its cluster %d behind %d clusters", cluster, n)
			} else {
				c.report(KindCrossed, path, "its cluster %d belongs to another chain as well", cluster)
			}
			return nil, n, false
		}
		c.use(cluster)
		if isDir && n < most {
			runs = appendCluster(runs, cluster)
		}
		var err error
		if cluster, err = c.fs.table.entry(&c.fs.boot, cluster); err != nil {
			c.report(KindUnreadable, path, "%v", err)
			return nil, n, false
		}
	}
	if isDir && n > most {
		c.report(KindSize, path, "a directory of %d bytes, expected at most %d", n*c.fs.boot.cluster, maxSlots*slotSize)
		return nil, n, false
	}
	return runs, n, true
}

// usable reports whether the next cluster of a chain can be one.
func (c *checker) usable(cluster uint32, path string, n int64) bool {
	switch {
	case n > 0 && cluster == entryFree:
		c.report(KindChain, path, "its chain leads to a free cluster behind %d clusters", n)
	case n > 0 && cluster == entryBad:
		c.report(KindChain, path, "its chain leads to a bad cluster behind %d clusters", n)
	case !c.fs.boot.valid(cluster):
		c.report(KindChain, path, "its chain leads to cluster %#x behind %d clusters, there are %d to %d", cluster, n, firstCluster, c.fs.boot.clusters+firstCluster-1)
	default:
		return true
	}
	return false
}

// within reports whether a cluster is among the first n of a chain that was
// walked before.
func (c *checker) within(first, cluster uint32, n int64) bool {
	for ; n > 0; n-- {
		if first == cluster {
			return true
		}
		var err error
		if first, err = c.fs.table.entry(&c.fs.boot, first); err != nil {
			return false
		}
	}
	return false
}

// dots checks "." and "..": they come first, and only in a directory below the
// root; ".." of the directories in the root is 0.
func (c *checker) dots(p *place, d *directory) {
	const dot, dotDot = ".          ", "..         "
	if p.parent == nil {
		if len(d.dots) > 0 {
			c.report(KindDots, p.path(""), "the root directory has an entry %q", strings.TrimRight(string(d.dots[0].raw[:]), " "))
		}
		return
	}
	if d.firsts != [2]string{dot, dotDot} || len(d.dots) != 2 {
		c.report(KindDots, p.path(""), `the first two entries are %q and %q, with %d that start with a dot; expected "." and ".." alone`, d.firsts[0], d.firsts[1], len(d.dots))
		return
	}
	up := p.parent.first
	if p.parent.parent == nil {
		up = 0
	}
	for i, want := range []uint32{p.first, up} {
		e := &d.dots[i]
		if e.first != want || !e.isDir() || e.size != 0 {
			c.report(KindDots, p.path(""), "%q is cluster %d, attributes %#02x, %d bytes; expected directory %d", e.short, e.first, e.attr, e.size, want)
		}
	}
}

// labels checks that the root has the label of the boot sector, and nothing
// else has any.
func (c *checker) labels(p *place, d *directory) {
	want := labelText(c.fs.boot.label)
	switch {
	case p.parent != nil && len(d.labels) > 0:
		c.report(KindLabel, p.path(""), "has a volume label, expected it in the root directory only")
	case p.parent == nil && len(d.labels) > 1:
		c.report(KindLabel, "", "there are %d volume labels, expected one", len(d.labels))
	case p.parent == nil && len(d.labels) == 0 && want != "":
		c.report(KindLabel, "", "the boot sector has the label %q, the root directory has none", want)
	case p.parent == nil && len(d.labels) == 1 && labelText(d.labels[0]) != want:
		c.report(KindLabel, "", "the boot sector has the label %q, the root directory %q", want, labelText(d.labels[0]))
	}
}

// duplicates checks that no name, long or short, leads to two entries.
func (c *checker) duplicates(p *place, d *directory) {
	owner := make(map[string]int, 2*len(d.entries))
	for i := range d.entries {
		e := &d.entries[i]
		for _, name := range []string{e.name, e.short} {
			key := strings.ToLower(strings.ToUpper(name))
			if j, taken := owner[key]; taken && j != i {
				c.report(KindDuplicate, p.path(e.name), "the name %q is that of %q as well", name, d.entries[j].name)
				break
			}
			owner[key] = i
		}
	}
}
