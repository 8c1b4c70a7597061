package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// JSON returns the canonical form of a plan: equal plans give equal bytes,
// indented, with a newline at the end.
func (p *Plan) JSON() ([]byte, error) { return marshal(p) }

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return b.Bytes(), nil
}

// canonical returns a copy of a value that shares nothing with it and in which
// every list is there: whether a profile says "no users" or says nothing about
// users makes no difference to a plan.
func canonical[T any](v T) (T, error) {
	var c T
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return c, fmt.Errorf("plan: %w", err)
	}
	fillLists(reflect.ValueOf(&c).Elem())
	return c, nil
}

// fillLists replaces nil slices in v by empty ones, but for what JSON leaves out
// when there is nothing: that is not there in a plan that was read either.
func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			left := strings.Contains(v.Type().Field(i).Tag.Get("json"), ",omit")
			if f := v.Field(i); f.CanSet() && !(left && f.IsZero()) {
				fillLists(f)
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fillLists(v.Index(i))
		}
	}
}
