package strict

import (
	"encoding"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// fill sets a struct from a tree and returns what does not fit, all of it. It
// takes that out of the tree, so that the rest can be used.
func fill(v reflect.Value, doc *table) Problems {
	problems, _ := fillNoting(v, doc)
	return problems
}

// fillNoting is fill that also returns the keys of v that were refused, as far
// as they are known.
func fillNoting(v reflect.Value, doc *table) (Problems, []string) {
	f := &filler{}
	f.table(v, doc, "")
	return f.problems, f.broken
}

type filler struct {
	problems Problems
	broken   []string
}

// refuse notes a problem with the value of key and returns false.
func (f *filler) refuse(pos Position, key, format string, args ...any) bool {
	f.problems = append(f.problems, Problem{pos, key, fmt.Sprintf(format, args...)})
	f.broken = append(f.broken, key)
	return false
}

// fields returns the fields of a struct by their names in TOML.
func fields(t reflect.Type) map[string]int {
	byName := map[string]int{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		if name != "" && name != "-" {
			byName[name] = i
		}
	}
	return byName
}

func (f *filler) table(v reflect.Value, t *table, key string) {
	byName := fields(v.Type())
	names := slices.Sorted(maps.Keys(byName))
	t.keep(func(e *entry) bool {
		i, known := byName[e.name]
		if known {
			return f.value(v.Field(i), e.value, Join(key, e.name))
		}
		near := Nearest(e.name, names)
		hint := "expected one of " + strings.Join(names, ", ")
		if near != "" {
			hint = "did you mean " + near + "?"
			f.broken = append(f.broken, Join(key, near))
		}
		f.problems = append(f.problems, Problem{e.pos, Join(key, e.name), "unknown key; " + hint})
		return false
	})
}

// value sets v and reports whether val fits.
func (f *filler) value(v reflect.Value, val *value, key string) bool {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return f.text(u, v.CanInt() || v.CanUint(), val, key)
	}
	switch v.Kind() {
	case reflect.String:
		if val.kind != kindString {
			return f.refuse(val.pos, key, "expected text in quotes, found %s", val.describe())
		}
		v.SetString(val.text)
	case reflect.Bool:
		if val.kind != kindBool {
			return f.refuse(val.pos, key, "expected true or false, found %s", val.describe())
		}
		v.SetBool(val.text == "true")
	case reflect.Struct:
		if val.kind != kindTable {
			return f.refuse(val.pos, key, "expected a table, found %s", val.describe())
		}
		f.table(v, val.table, key)
	case reflect.Slice:
		return f.list(v, val, key)
	case reflect.Pointer: // nil where nothing is said
		to := reflect.New(v.Type().Elem())
		if !f.value(to.Elem(), val, key) {
			return false
		}
		v.Set(to)
	default:
		return f.integer(v, val, key)
	}
	return true
}

// text lets a type read itself. One that is an integer may be written as one.
func (f *filler) text(u encoding.TextUnmarshaler, number bool, val *value, key string) bool {
	if val.kind != kindString && (!number || val.kind != kindInteger) {
		expected := "text in quotes"
		if number {
			expected = "an integer or text in quotes"
		}
		return f.refuse(val.pos, key, "expected %s, found %s", expected, val.describe())
	}
	if err := u.UnmarshalText([]byte(val.text)); err != nil {
		return f.refuse(val.pos, key, "%v", err)
	}
	return true
}

// integer sets an integer of any size.
func (f *filler) integer(v reflect.Value, val *value, key string) bool {
	least, most := "0", ""
	if v.CanInt() {
		least, most = fmt.Sprint(int64(math.MinInt64)>>(64-v.Type().Bits())), fmt.Sprint(int64(math.MaxInt64)>>(64-v.Type().Bits()))
	} else {
		most = fmt.Sprint(uint64(math.MaxUint64) >> (64 - v.Type().Bits()))
	}
	if val.kind != kindInteger {
		return f.refuse(val.pos, key, "expected a whole number, found %s", val.describe())
	}
	// The text of an integer value is that of an int64.
	n, err := strconv.ParseInt(val.text, 10, 64)
	switch {
	case err == nil && v.CanInt() && !v.OverflowInt(n):
		v.SetInt(n)
	case err == nil && v.CanUint() && n >= 0 && !v.OverflowUint(uint64(n)):
		v.SetUint(uint64(n))
	default:
		return f.refuse(val.pos, key, "expected a whole number from %s to %s, found %s", least, most, val.text)
	}
	return true
}

// list sets a slice of strings or of structs that have a name. An element that
// does not fit is taken out; the others stay.
func (f *filler) list(v reflect.Value, val *value, key string) bool {
	if val.kind != kindList {
		return f.refuse(val.pos, key, "expected a list, found %s", val.describe())
	}
	seen := map[string]*value{}
	var kept []*value
	out := reflect.MakeSlice(v.Type(), 0, len(val.list))
	for i, el := range val.list {
		one := reflect.New(v.Type().Elem()).Elem()
		if f.element(one, el, key, i, seen) {
			kept, out = append(kept, el), reflect.Append(out, one)
		} else {
			f.broken = append(f.broken, key)
		}
	}
	val.list = kept
	v.Set(out)
	return true
}

// element sets element i of the list key, which must not be among those seen.
func (f *filler) element(v reflect.Value, el *value, key string, i int, seen map[string]*value) bool {
	at, name := Index(key, i), el.text
	if el.kind == kindTable {
		at, name = elementKey(key, i, el.table), el.table.name()
	}
	if !f.value(v, el, at) {
		return false
	}
	if el.kind == kindTable && name == "" {
		return f.refuse(el.pos, at, "the name is missing")
	}
	if first := seen[name]; first != nil {
		return f.refuse(el.pos, at, "%q is listed twice, first at line %d", name, first.pos.Line)
	}
	seen[name] = el
	return true
}

// emptyLists gives every list that was not set the same form as one that was
// set to nothing: in JSON [], not null.
func emptyLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			emptyLists(v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			emptyLists(v.Index(i))
		}
	}
}
