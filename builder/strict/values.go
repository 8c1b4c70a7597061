package strict

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Value is one value of a decoded document, with where it was set.
type Value struct {
	Key  string
	Text string   // in TOML
	From Position // zero when it was not set
}

// Values returns every value of a struct that Decode or Resolve filled, in the
// order of its fields, each element of a list on its own.
func Values(v any, o Origins) []Value {
	w := &walker{origins: o}
	w.table("", reflect.ValueOf(v))
	return w.out
}

type walker struct {
	origins Origins
	out     []Value
}

func (w *walker) table(key string, v reflect.Value) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("toml"), ",")
		if name != "" && name != "-" && !(key == "" && name == extends) {
			w.value(Join(key, name), v.Field(i))
		}
	}
}

func (w *walker) value(key string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		w.table(key, v)
		return
	case reflect.Pointer:
		if !v.IsNil() { // TOML has no text for what is not said
			w.value(key, v.Elem())
		}
		return
	case reflect.Slice:
		if v.Len() == 0 {
			w.out = append(w.out, Value{key, "[]", w.origins[key]})
		}
		for i := range v.Len() {
			at := Index(key, i)
			if el := v.Index(i); el.Kind() == reflect.Struct {
				at = Join(key, el.Field(fields(el.Type())[nameKey]).String())
			}
			w.value(at, v.Index(i))
		}
		return
	}
	w.out = append(w.out, Value{key, tomlText(v), w.origins[key]})
}

// tomlText writes a value that is neither list nor table.
func tomlText(v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	_, own := reflect.New(v.Type()).Interface().(encoding.TextUnmarshaler)
	if own || v.Kind() == reflect.String {
		return strconv.Quote(text)
	}
	return text
}
