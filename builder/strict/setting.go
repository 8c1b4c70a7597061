package strict

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// flag is the file of what the command line sets, in positions.
const flag = "--set"

// Setting is one value of the command line. It acts as a last file that
// extends all others would, with the same rules for lists.
type Setting struct {
	Key   string // as in Origins, without numbers: "users.bandit.uid"
	Value string // in TOML; for a key whose value is text, quotes may be left out
	Below string // what the command line has before the key and a dot, for messages
}

func (s Setting) position() Position {
	if s.Below == "" {
		return Position{File: flag}
	}
	return Position{File: flag + " " + s.Below}
}

// ParseSetting reads KEY=VALUE. Whether the key exists and the value fits is
// not known before a profile is. The error is of class fault.Usage.
func ParseSetting(text string) (Setting, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return Setting{}, fault.New(fault.Usage, "for example: --set hostname=fox", "--set %q: expected KEY=VALUE", text)
	}
	if _, err := splitKey(key); err != nil {
		return Setting{}, fault.New(fault.Usage, "", "--set %w", err)
	}
	return Setting{Key: key, Value: value}, nil
}

// document returns the setting as a document of the struct t that extends
// base.
func (s Setting) document(t reflect.Type, base *table) (*table, Problems) {
	pos := s.position()
	root := newTable(pos)
	refuse := func(format string, args ...any) (*table, Problems) {
		return newTable(pos), Problems{{pos, s.Key, fmt.Sprintf(format, args...)}}
	}
	parts, err := splitKey(s.Key)
	if err != nil {
		return refuse("%v", err)
	}
	if s.Key == extends {
		return refuse("what is extended is for a file to say")
	}
	into := root
	for i, part := range parts {
		part = unquote(part)
		field := fieldType(t, part)
		if i == len(parts)-1 {
			v, problems := s.value(field)
			into.add(&entry{pos, part, v})
			return root, problems
		}
		if field == nil || field.Kind() != reflect.Slice || field.Elem().Kind() != reflect.Struct {
			inner := newTable(pos)
			into.add(&entry{pos, part, &value{pos: pos, kind: kindTable, table: inner}})
			into, t = inner, field
			base = tableIn(base, part)
			continue
		}
		name := unquote(parts[i+1])
		element, names := elementIn(base, part, name)
		if element == nil {
			return refuse("no %q in %s%s", name, part, DidYouMean(name, names))
		}
		if i+2 == len(parts) {
			return refuse("expected a key inside of %q", name)
		}
		inner := namedTable(pos, name)
		into.add(&entry{pos, part, &value{pos: pos, kind: kindList, list: []*value{{pos: pos, kind: kindTable, table: inner}}}})
		rest, problems := Setting{strings.Join(parts[i+2:], "."), s.Value, s.Below}.document(field.Elem(), element)
		for _, e := range rest.entries {
			if e.name != "name" {
				inner.add(e)
			} else {
				return refuse("a name cannot be changed: take the element away and add another in a file")
			}
		}
		for j := range problems {
			problems[j].Key = s.Key
		}
		return root, problems
	}
	return root, nil
}

// value reads the value for a field of type t, which is nil when no such field
// is known.
func (s Setting) value(t reflect.Type) (*value, Problems) {
	pos := s.position()
	quoted := strings.HasPrefix(s.Value, `"`) || strings.HasPrefix(s.Value, "'")
	if t == nil || isText(t) && !quoted {
		return &value{pos: pos, kind: kindString, text: s.Value}, nil
	}
	doc, problems, _ := parse(flag, []byte("v = "+s.Value))
	e := doc.index["v"]
	if len(problems) > 0 || e == nil || len(doc.entries) != 1 {
		return &value{pos: pos, kind: kindOther, text: s.Value}, nil
	}
	e.value.place(pos)
	return e.value, nil
}

// place gives a value and all inside of it one position.
func (v *value) place(pos Position) {
	v.pos = pos
	for _, el := range v.list {
		el.place(pos)
	}
	if v.kind == kindTable {
		v.table.pos = pos
		for _, e := range v.table.entries {
			e.pos = pos
			e.value.place(pos)
		}
	}
}

// isText reports whether a field takes text.
func isText(t reflect.Type) bool {
	return t.Kind() == reflect.String || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// fieldType returns the type of the field of a struct with a name in TOML, or
// nil.
func fieldType(t reflect.Type, name string) reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	i, ok := fields(t)[name]
	if !ok {
		return nil
	}
	return t.Field(i).Type
}

// tableIn returns the table name in t, an empty one when it is not there.
func tableIn(t *table, name string) *table {
	if e := t.index[name]; e != nil && e.value.kind == kindTable {
		return e.value.table
	}
	return newTable(Position{})
}

// elementIn returns the table with a name in the array of tables key of t, and
// the names of all of them.
func elementIn(t *table, key, name string) (element *table, names []string) {
	e := t.index[key]
	if e == nil {
		return nil, nil
	}
	for _, v := range e.value.list {
		names = append(names, listName(v))
		if v.kind == kindTable && v.table.name() == name {
			element = v.table
		}
	}
	return element, names
}

// namedTable returns a table that has a name alone.
func namedTable(pos Position, name string) *table {
	t := newTable(pos)
	t.add(&entry{pos, "name", &value{pos: pos, kind: kindString, text: name}})
	return t
}

func unquote(part string) string {
	if text, err := strconv.Unquote(part); err == nil && strings.HasPrefix(part, `"`) {
		return text
	}
	return part
}
