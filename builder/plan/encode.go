package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/6FaNcY9/mkimage/builder/fault"
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

// fillLists replaces nil slices in v by empty ones.
func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
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

// maxJSON bounds the plans that are read, in bytes; those of the built-in
// profiles take some 10 KiB.
const maxJSON = 4 << 20

// Decode reads what JSON wrote. It refuses unknown fields, other versions and
// data behind the plan, and a plan that does not follow from its own profile,
// layout, seed, epoch and size: a plan is changed by changing these. Errors are
// of class fault.Input.
func Decode(data []byte) (*Plan, error) {
	if len(data) > maxJSON {
		return nil, fault.New(fault.Input, "", "plan of %d bytes, expected at most %d", len(data), maxJSON)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fault.New(fault.Input, "", "plan: %w", err)
	}
	if head.Version != Version {
		return nil, fault.New(fault.Input, "make it anew with: mkimage plan PROFILE --json",
			"plan of version %d, expected %d", head.Version, Version)
	}
	var p Plan
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, fault.New(fault.Input, "", "plan: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Input, "", "plan: data behind its end")
	}
	return &p, p.follows()
}

// follows refuses a plan that Make would not make of its own inputs.
func (p *Plan) follows() error {
	again, err := Make(p.Profile, p.Layout, Options{Seed: &p.Seed, Epoch: p.Epoch, Size: p.Disk.Size})
	if err != nil {
		return fault.New(fault.Input, fault.HintOf(err), "plan: %w", err)
	}
	got, err := p.JSON()
	if err != nil {
		return err
	}
	want, err := again.JSON()
	if err != nil {
		return err
	}
	gotLines, wantLines := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(gotLines), len(wantLines)) {
		if !bytes.Equal(gotLines[i], wantLines[i]) {
			return fault.New(fault.Input, "change the profile or the layout, not the plan",
				"plan: got %q, but its profile, layout and seed give %q", bytes.TrimSpace(gotLines[i]), bytes.TrimSpace(wantLines[i]))
		}
	}
	return nil
}
