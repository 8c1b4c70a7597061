package strict

import (
	"encoding"
	"errors"
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
	Flag  string // the flag that sets this key and no other, for messages; "" is --set
}

func (s Setting) position() Position {
	switch {
	case s.Flag != "":
		return Position{File: s.Flag}
	case s.Below != "":
		return Position{File: flag + " " + s.Below}
	}
	return Position{File: flag}
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
	parts, err := splitKey(s.Key)
	if err == nil && s.Key == extends {
		err = errors.New("what is extended is for a file to say")
	}
	var doc *table
	if err == nil {
		doc, err = s.table(parts, t, base)
	}
	if err != nil {
		return newTable(s.position()), Problems{{s.position(), s.Key, err.Error()}}
	}
	return doc, nil
}

// table returns a table of type t, or nil where no type is known, that has the
// setting at the key of parts and nothing else. Base is the table that it will
// be merged into.
func (s Setting) table(parts []string, t reflect.Type, base *table) (*table, error) {
	pos, name := s.position(), unquote(parts[0])
	field := fieldType(t, name)
	var v *value
	switch {
	case len(parts) == 1:
		v = s.value(field)
	case field != nil && field.Kind() == reflect.Slice && field.Elem().Kind() == reflect.Struct:
		el, err := s.element(name, parts[1:], field.Elem(), base)
		if err != nil {
			return nil, err
		}
		v = &value{pos: pos, kind: kindList, list: []*value{{pos: pos, kind: kindTable, table: el}}}
	default:
		inner, err := s.table(parts[1:], field, tableIn(base, name))
		if err != nil {
			return nil, err
		}
		v = &value{pos: pos, kind: kindTable, table: inner}
	}
	out := newTable(pos)
	out.add(&entry{pos, name, v})
	return out, nil
}

// element returns an element of the array of tables list of base: its name is
// the first of parts, and it must be there, as a slip would add another.
func (s Setting) element(list string, parts []string, t reflect.Type, base *table) (*table, error) {
	name := unquote(parts[0])
	inherited, names := elementIn(base, list, name)
	switch {
	case inherited == nil:
		return nil, fmt.Errorf("no %q in %s%s", name, list, DidYouMean(name, names))
	case len(parts) == 1:
		return nil, fmt.Errorf("expected a key inside of %q", name)
	case parts[1] == nameKey:
		return nil, errors.New("a name cannot be changed: take the element away and add another in a file")
	}
	el, err := s.table(parts[1:], t, inherited)
	if err != nil {
		return nil, err
	}
	el.add(&entry{s.position(), nameKey, &value{pos: s.position(), text: name}})
	return el, nil
}

// value reads the value for a field of type t, which is nil when no such field
// is known. What is not TOML fits no field.
func (s Setting) value(t reflect.Type) *value {
	pos := s.position()
	quoted := strings.HasPrefix(s.Value, `"`) || strings.HasPrefix(s.Value, "'")
	if t == nil || isText(t) && !quoted {
		return &value{pos: pos, kind: kindString, text: s.Value}
	}
	doc, problems, _ := parse(flag, []byte("v = "+s.Value))
	e := doc.index["v"]
	if len(problems) > 0 || e == nil || len(doc.entries) != 1 {
		return &value{pos: pos, kind: kindOther, text: s.Value}
	}
	e.value.place(pos)
	return e.value
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

// unquote returns what a part of a key stands for.
func unquote(part string) string {
	if text, err := strconv.Unquote(part); err == nil && strings.HasPrefix(part, `"`) {
		return text
	}
	return part
}
