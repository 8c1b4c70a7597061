package initramfs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// maxIndex bounds the size of a file that depmod made. Debian's largest,
// modules.alias, has 1.4 MB.
const maxIndex = 64 << 20

// index is what depmod knows about a kernel's modules.
type index struct {
	tree    *fstree.Tree
	dir     string // of the modules, from the root of the tree
	files   map[string]moduleFile
	soft    map[string]softDeps
	alias   map[string][]string // names of modules by alias, without patterns
	builtin map[string]bool     // names and aliases of what is in the kernel itself
}

// moduleFile is a line of modules.dep.
type moduleFile struct {
	path string   // from the index's directory
	deps []string // names of all that it needs, in the order of loading
}

// softDeps is what modules.softdep says about a module: names of modules or
// aliases.
type softDeps struct{ pre, post []string }

// openIndex reads the index of a kernel, in dir or where it is found.
func openIndex(t *fstree.Tree, kernel, dir string) (*index, error) {
	if !fstree.ValidName(kernel) {
		return nil, fmt.Errorf("kernel version %q: not a name", kernel)
	}
	if dir == "" {
		var err error
		if dir, err = moduleDir(t, kernel); err != nil {
			return nil, err
		}
	}
	x := &index{tree: t, dir: dir, builtin: map[string]bool{}}
	text, err := x.read("modules.dep", true)
	if err != nil {
		return nil, err
	}
	if x.files, err = parseDep(text); err != nil {
		return nil, input("", "%s/modules.dep: %w", dir, err)
	}
	for _, f := range []struct {
		name  string
		parse func(string)
	}{
		{"modules.softdep", func(s string) { x.soft = parseSoftdep(s) }},
		{"modules.alias", func(s string) { x.alias = parseAlias(s) }},
		{"modules.builtin", func(s string) { parseBuiltin(s, x.builtin) }},
		{"modules.builtin.modinfo", func(s string) { parseBuiltinInfo(s, x.builtin) }},
	} {
		text, err := x.read(f.name, false)
		if err != nil {
			return nil, err
		}
		f.parse(text)
	}
	return x, nil
}

// moduleDir returns the directory of a kernel's modules. In a NixOS system it
// is in the store: there, the module tree that joins the kernel's own and
// others comes before the kernel's.
func moduleDir(t *fstree.Tree, kernel string) (string, error) {
	candidates := []string{"usr/lib/modules/" + kernel, "lib/modules/" + kernel}
	var packages []string
	if store := t.Lookup("nix/store"); store != nil {
		for _, e := range store.Children() {
			if strings.HasSuffix(e.Name, "-modules") {
				candidates = append(candidates, e.Path()+"/lib/modules/"+kernel)
			} else if strings.Contains(e.Name, "-linux-") {
				packages = append(packages, e.Path()+"/lib/modules/"+kernel)
			}
		}
	}
	for _, dir := range append(candidates, packages...) {
		e, err := t.Follow(dir + "/modules.dep")
		if err != nil {
			return "", input("", "%w", err)
		}
		if e != nil {
			return dir, nil
		}
	}
	return "", input("the source must hold the modules of its kernel, with what depmod makes of them",
		"kernel %s: no modules.dep in /usr/lib/modules/%s of the source", kernel, kernel)
}

// read returns a file of the index; one that is missing is empty unless it
// must be there.
func (x *index) read(name string, must bool) (string, error) {
	e, err := x.tree.Follow(x.dir + "/" + name)
	if err != nil {
		return "", input("", "%w", err)
	}
	if e == nil && !must {
		return "", nil
	}
	data, err := readEntry(e, maxIndex)
	if err != nil {
		return "", fmt.Errorf("%s/%s: %w", x.dir, name, err)
	}
	return string(data), nil
}

// find returns the names of the modules that a name or an alias means. What
// is in the kernel itself is known, without names.
func (x *index) find(name string) (modules []string, known bool) {
	name = fold(name)
	if _, ok := x.files[name]; ok {
		return []string{name}, true
	}
	if list, ok := x.alias[name]; ok {
		return list, true
	}
	return nil, x.builtin[name]
}

// unknown is the error for a name that find does not know.
func (x *index) unknown(name string) error {
	names := slices.Sorted(maps.Keys(x.files))
	names = slices.AppendSeq(names, maps.Keys(x.builtin))
	slices.Sort(names)
	return input("", "kernel module %q: not in %s%s", name, x.dir, strict.DidYouMean(fold(name), names))
}

// fold makes one of the two spellings of a module's name.
func fold(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleName returns the name of the module in a file, "" if the file does
// not end as one does.
func moduleName(file string) string {
	name, suffix, ok := strings.Cut(path.Base(file), ".ko")
	if !ok || name == "" || !slices.Contains(moduleSuffixes, suffix) {
		return ""
	}
	return fold(name)
}
