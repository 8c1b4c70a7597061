package strict

import (
	"fmt"
	"slices"
	"strings"
)

// takeAway before an element of a list means that an inherited one is not
// wanted; everything is what then names them all.
const (
	takeAway   = "!"
	everything = "*"
)

// merge returns what a document makes of the one that it extends:
//
//   - a table has the keys of both;
//   - text, numbers and truth values replace what is inherited;
//   - a list adds to what is inherited, and leaves out what is there already;
//   - an element "!x" of a list takes the inherited x away, "!*" all of them;
//   - the tables of an array of tables merge by their names: one whose name is
//     inherited changes that one, one named "!x" takes x away.
//
// So what a parent sets stays until a child says otherwise, in so many words.
// To take away what is not inherited is a problem: it may be a slip, or the
// parent has changed since. Neither tree is changed; both must have been
// filled before.
func merge(base, over *table) (*table, Problems) {
	m := &merger{}
	return m.table("", base, over), m.problems
}

type merger struct{ problems Problems }

func (m *merger) table(key string, base, over *table) *table {
	out := newTable(over.pos)
	for _, e := range base.entries {
		if over.index[e.name] == nil {
			out.add(e)
			continue
		}
		out.add(m.entry(key, e, over.index[e.name]))
	}
	for _, e := range over.entries {
		if base.index[e.name] == nil {
			out.add(m.entry(key, nil, e))
		}
	}
	return out
}

// entry merges a key; base is nil when it is not inherited.
func (m *merger) entry(key string, base, over *entry) *entry {
	v := *over.value
	at := Join(key, over.name)
	switch v.kind {
	case kindTable:
		inherited := newTable(v.pos)
		if base != nil {
			inherited = base.value.table
		}
		v.table = m.table(at, inherited, v.table)
	case kindList:
		var inherited []*value
		if base != nil {
			inherited = base.value.list
		}
		v.list = m.list(at, inherited, v.list)
	}
	return &entry{over.pos, over.name, &v}
}

// listName is what an element of a list is called.
func listName(v *value) string {
	if v.kind == kindTable {
		return v.table.name()
	}
	return v.text
}

func (m *merger) list(key string, base, over []*value) []*value {
	out := slices.Clone(base)
	for _, el := range over {
		name := listName(el)
		if gone, ok := strings.CutPrefix(name, takeAway); ok {
			out = m.take(key, out, gone, el)
			continue
		}
		i := slices.IndexFunc(out, func(v *value) bool { return listName(v) == name })
		switch {
		case el.kind == kindTable && i >= 0:
			changed := *out[i]
			changed.table, changed.pos = m.table(Join(key, name), out[i].table, el.table), el.pos
			out[i] = &changed
		case el.kind == kindTable:
			added := *el
			added.table = m.table(Join(key, name), newTable(el.pos), el.table)
			out = append(out, &added)
		case i < 0:
			out = append(out, el)
		}
	}
	return out
}

// take removes what el says is not wanted.
func (m *merger) take(key string, list []*value, name string, el *value) []*value {
	if el.kind == kindTable && len(el.table.entries) > 1 {
		m.problem(el, key, "%q takes %s away, so that nothing but its name can be set", takeAway+name, name)
	}
	if name == everything {
		return nil
	}
	i := slices.IndexFunc(list, func(v *value) bool { return listName(v) == name })
	if i < 0 {
		var names []string
		for _, v := range list {
			names = append(names, listName(v))
		}
		m.problem(el, key, "%q takes away what is not inherited%s", takeAway+name, DidYouMean(name, names))
		return list
	}
	return slices.Delete(slices.Clone(list), i, i+1)
}

func (m *merger) problem(el *value, key, format string, args ...any) {
	m.problems = append(m.problems, Problem{el.pos, key, fmt.Sprintf(format, args...)})
}
