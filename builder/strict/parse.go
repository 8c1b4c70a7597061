package strict

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document reads one document into a tree.
type document struct {
	file     string
	data     []byte
	lines    []int // offset of the first byte of each line
	parser   unstable.Parser
	root     *table
	current  *table // that the last header named
	key      string // of current
	problems Problems
}

// parse reads a document. What is wrong with it is in the problems; the tree
// then holds what could be read, which is not complete after a syntax error.
func parse(file string, data []byte) (root *table, problems Problems, complete bool) {
	// A copy that no slice can be extended beyond: positions are computed from
	// capacities.
	data = bytes.Clone(data)
	d := &document{file: file, data: data[:len(data):len(data)], lines: []int{0}, root: newTable(Position{File: file})}
	for i, b := range d.data {
		if b == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	d.current = d.root
	d.parser.Reset(d.data)
	for d.parser.NextExpression() {
		switch e := d.parser.Expression(); e.Kind {
		case unstable.KeyValue:
			d.assign(d.current, d.key, e)
		case unstable.Table, unstable.ArrayTable:
			d.header(e)
		}
	}
	err := d.parser.Error()
	if err != nil {
		d.problems = append(d.problems, Problem{d.errorPosition(err), "", "syntax: " + err.Error()})
	}
	return d.root, d.problems, err == nil
}

// position returns where the byte at offset is.
func (d *document) position(offset int) Position {
	line := sort.SearchInts(d.lines, offset+1)
	return Position{d.file, line, utf8.RuneCount(d.data[d.lines[line-1]:offset]) + 1}
}

func (d *document) at(n *unstable.Node) Position { return d.position(int(n.Raw.Offset)) }

// errorPosition returns where a syntax error is. The parser points at it by a
// slice of the data, which need not be valid for every error.
func (d *document) errorPosition(err error) Position {
	var parserError *unstable.ParserError
	if errors.As(err, &parserError) {
		if offset := cap(d.data) - cap(parserError.Highlight); parserError.Highlight != nil && offset >= 0 && offset <= len(d.data) {
			return d.position(offset)
		}
	}
	return Position{File: d.file}
}

func (d *document) problem(n *unstable.Node, key, format string, args ...any) {
	d.problems = append(d.problems, Problem{d.at(n), key, fmt.Sprintf(format, args...)})
}

// header makes the table that a [header] or [[header]] names the current one.
func (d *document) header(e *unstable.Node) {
	t, key := d.root, ""
	it := e.Key()
	for it.Next() {
		n := it.Node()
		name := string(n.Data)
		key = Join(key, name)
		if it.IsLast() {
			if e.Kind == unstable.Table {
				t = d.open(t, n, key)
			} else {
				t, key = d.appendTo(t, n, key)
			}
			break
		}
		t, key = d.onTheWay(t, n, key)
	}
	d.current, d.key = t, key
}

// onTheWay returns the table name in t through which a header leads.
func (d *document) onTheWay(t *table, n *unstable.Node, key string) (*table, string) {
	name := string(n.Data)
	e := t.index[name]
	switch {
	case e == nil:
		inner := newTable(d.at(n))
		t.add(&entry{d.at(n), name, &value{pos: d.at(n), kind: kindTable, table: inner}})
		return inner, key
	case e.value.kind == kindTable && e.value.table.made != madeInline:
		return e.value.table, key
	case e.value.header:
		last := len(e.value.list) - 1
		return e.value.list[last].table, Index(key, last)
	}
	d.problem(n, key, "is a table here, but %s at line %d", e.value.describe(), e.pos.Line)
	return newTable(d.at(n)), key
}

// open returns the table that a [header] defines.
func (d *document) open(t *table, n *unstable.Node, key string) *table {
	name := string(n.Data)
	e := t.index[name]
	if e == nil {
		inner := newTable(d.at(n))
		inner.made = madeByHeader
		t.add(&entry{d.at(n), name, &value{pos: d.at(n), kind: kindTable, table: inner}})
		return inner
	}
	if e.value.kind == kindTable && e.value.table.made == madeOnTheWay {
		e.value.table.made = madeByHeader
		return e.value.table
	}
	d.problem(n, key, "set twice, first at line %d", e.pos.Line)
	if e.value.kind == kindTable {
		return e.value.table
	}
	return newTable(d.at(n))
}

// appendTo returns the new last table of the list that a [[header]] adds to.
func (d *document) appendTo(t *table, n *unstable.Node, key string) (*table, string) {
	name := string(n.Data)
	inner := newTable(d.at(n))
	inner.made = madeByHeader
	v := &value{pos: d.at(n), kind: kindTable, table: inner}
	e := t.index[name]
	switch {
	case e == nil:
		e = &entry{d.at(n), name, &value{pos: d.at(n), kind: kindList, header: true}}
		t.add(e)
	case !e.value.header:
		d.problem(n, key, "is an array of tables here, but %s at line %d", e.value.describe(), e.pos.Line)
		return inner, key
	}
	e.value.list = append(e.value.list, v)
	return inner, Index(key, len(e.value.list)-1)
}

// assign adds "key = value" to t, whose own key is given.
func (d *document) assign(t *table, key string, kv *unstable.Node) {
	it := kv.Key()
	for it.Next() {
		n := it.Node()
		name := string(n.Data)
		key = Join(key, name)
		if !it.IsLast() {
			t = d.dotted(t, n, key)
			continue
		}
		v := d.value(kv.Value(), n, key)
		if e := t.index[name]; e != nil {
			d.problem(n, key, "set twice, first at line %d", e.pos.Line)
		} else {
			t.add(&entry{d.at(n), name, v})
		}
	}
}

// dotted returns the table name in t that a key with dots leads through.
func (d *document) dotted(t *table, n *unstable.Node, key string) *table {
	name := string(n.Data)
	e := t.index[name]
	if e == nil {
		inner := newTable(d.at(n))
		inner.made = madeByDots
		t.add(&entry{d.at(n), name, &value{pos: d.at(n), kind: kindTable, table: inner}})
		return inner
	}
	if e.value.kind == kindTable && e.value.table.made == madeByDots {
		return e.value.table
	}
	d.problem(n, key, "set twice, first at line %d", e.pos.Line)
	return newTable(d.at(n))
}

// value reads a value; those of its own that the parser gives no place have
// that of the node near.
func (d *document) value(n, near *unstable.Node, key string) *value {
	v := &value{pos: d.at(n), text: string(n.Data)}
	switch n.Kind {
	case unstable.String:
	case unstable.Bool:
		v.kind = kindBool
	case unstable.Array:
		v.kind, v.pos = kindList, d.at(near)
		it := n.Children()
		for it.Next() {
			v.list = append(v.list, d.value(it.Node(), near, Index(key, len(v.list))))
		}
	case unstable.InlineTable:
		v.kind, v.table = kindTable, newTable(v.pos)
		it := n.Children()
		for it.Next() {
			d.assign(v.table, key, it.Node())
		}
		v.table.close()
	default:
		d.number(v, n, key)
	}
	return v
}

// close makes a table that was written inline, and those inside that its keys
// with dots made, final.
func (t *table) close() {
	t.made = madeInline
	for _, e := range t.entries {
		if e.value.kind == kindTable && e.value.table.made == madeByDots {
			e.value.table.close()
		}
	}
}

// number reads integers, and checks floating-point numbers and dates, by the
// decoder of the TOML package: the parser looks at their letters only.
func (d *document) number(v *value, n *unstable.Node, key string) {
	var one struct{ V any }
	v.kind = kindOther
	if err := toml.Unmarshal(append([]byte("V = "), d.parser.Raw(n.Raw)...), &one); err != nil {
		d.problem(n, key, "%s: not a number or date of TOML", v.text)
		return
	}
	if i, ok := one.V.(int64); ok {
		v.kind, v.text = kindInteger, fmt.Sprint(i)
	}
}
