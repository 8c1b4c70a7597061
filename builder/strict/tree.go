package strict

import "strconv"

// kind is the type of a value as far as settings can have it.
type kind int

const (
	kindString kind = iota
	kindInteger
	kindBool
	kindOther // floating-point numbers and dates
	kindList
	kindTable
)

// value is a value of a document, with where it begins.
type value struct {
	pos    Position
	kind   kind
	text   string // a string's content; an integer in decimal; else as it was written
	list   []*value
	table  *table
	header bool // a list that [[headers]] made and add to
}

// entry is a key of a table with its value; pos is the key's.
type entry struct {
	pos   Position
	name  string
	value *value
}

// table is a table of a document, its keys in the order of the document.
type table struct {
	pos     Position
	entries []*entry
	index   map[string]*entry
	made    making
}

// making says what made a table, on which it depends what may add to it.
type making int

const (
	madeOnTheWay making = iota // by the header of a table inside of it
	madeByHeader
	madeByDots
	madeInline
)

func newTable(pos Position) *table { return &table{pos: pos, index: map[string]*entry{}} }

func (t *table) add(e *entry) {
	t.entries = append(t.entries, e)
	t.index[e.name] = e
}

// keep removes the entries that ok refuses.
func (t *table) keep(ok func(*entry) bool) {
	kept := t.entries[:0]
	for _, e := range t.entries {
		if ok(e) {
			kept = append(kept, e)
		} else {
			delete(t.index, e.name)
		}
	}
	t.entries = kept
}

// nameKey is the key of a table of an array of tables that tells it apart.
const nameKey = "name"

// name returns the text of the key "name", by which the elements of an array
// of tables are told apart, or "".
func (t *table) name() string {
	if e := t.index[nameKey]; e != nil && e.value.kind == kindString {
		return e.value.text
	}
	return ""
}

// longestShown is how much of a value is repeated in a message.
const longestShown = 60

// describe says what a value is, for "expected X, found Y".
func (v *value) describe() string {
	text := v.text
	if len(text) > longestShown {
		text = text[:longestShown] + "..."
	}
	switch v.kind {
	case kindString:
		return "text " + strconv.Quote(text)
	case kindInteger:
		return "integer " + text
	case kindList:
		return "a list"
	case kindTable:
		return "a table"
	}
	return text
}

// origins returns where every key of a tree was set.
func origins(t *table) Origins {
	o := Origins{"": t.pos}
	o.table("", t)
	return o
}

func (o Origins) table(key string, t *table) {
	for _, e := range t.entries {
		at := Join(key, e.name)
		o[at] = e.pos
		switch e.value.kind {
		case kindTable:
			o.table(at, e.value.table)
		case kindList:
			o.list(at, e.value.list)
		}
	}
}

func (o Origins) list(key string, list []*value) {
	for i, v := range list {
		at := Index(key, i)
		if v.kind == kindTable {
			at = elementKey(key, i, v.table)
			o.table(at, v.table)
		}
		o[at] = v.pos
	}
}

// elementKey names an element of an array of tables: by its name, or by its
// number while that is missing.
func elementKey(key string, i int, t *table) string {
	if name := t.name(); name != "" {
		return Join(key, name)
	}
	return Index(key, i)
}
