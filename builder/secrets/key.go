package secrets

import (
	"strings"

	"github.com/getsops/sops/v3"
)

// Has reports whether a key is that of a value: its parents before it with /
// between them, in INI the section, in the first document of YAML. The key ""
// is the whole file. Tables, lists, what is in lists, and null are no values.
func (f *File) Has(key string) bool {
	if key == "" || f.Format == Binary {
		return key == ""
	}
	v, ok := find(f.tree.Branches[0], key)
	return ok && isValue(v)
}

// find returns what a key stands for. A key may have a / in itself; a file has
// no two that are equal with their parents, see walker.
func find(branch sops.TreeBranch, key string) (any, bool) {
	for _, item := range branch {
		name, ok := item.Key.(string)
		if !ok {
			continue // a comment
		}
		if name == key {
			return item.Value, true
		}
		if rest, ok := strings.CutPrefix(key, name+"/"); ok {
			if below, ok := item.Value.(sops.TreeBranch); ok {
				if v, ok := find(below, rest); ok {
					return v, true
				}
			}
		}
	}
	return nil, false
}

// isValue reports whether something in a tree is a value that can be handed
// out.
func isValue(v any) bool {
	switch v.(type) {
	case nil, sops.TreeBranch, []any, sops.Comment:
		return false
	}
	return true
}

// describe says what a key that is no value stands for.
func describe(v any) string {
	switch v.(type) {
	case sops.TreeBranch:
		return "a table"
	case []any:
		return "a list"
	}
	return "null"
}

// keys returns the keys of all values below a branch.
func keys(branch sops.TreeBranch, parent string) []string {
	var all []string
	for _, item := range branch {
		name, ok := item.Key.(string)
		if !ok {
			continue
		}
		if below, ok := item.Value.(sops.TreeBranch); ok {
			all = append(all, keys(below, join(parent, name))...)
		} else if isValue(item.Value) {
			all = append(all, join(parent, name))
		}
	}
	return all
}
