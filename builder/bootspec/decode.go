package bootspec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// The keys of a document that are read. All others are extensions that do not
// concern us.
const (
	keyV1              = "org.nixos.bootspec.v1"
	keySpecialisations = "org.nixos.specialisation.v1"
	keySystemdBoot     = "org.nixos.systemd-boot"
	keyExtraInitrd     = "org.nixos.extra-initrd.v1"
)

// v1Keys are the fields of version 1. RFC 125 does not say what to do with
// others. Its schema (bootspec.cue) is closed and NixOS's builder fails on them,
// so that they are refused: a field that is not known may matter.
var v1Keys = []string{"init", "initrd", "initrdSecrets", "kernel", "kernelParams", "label", "system", "toplevel"}

// maxSpecialisation is the longest name of a specialisation in bytes: the file
// name of an entry holds it.
const maxSpecialisation = 200

// plainName is a name that can be part of a file name everywhere. A dot cannot
// be first: the names "." and ".." lead elsewhere.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_+-][A-Za-z0-9._+-]*$`)

// Decode reads a boot.json, which errors call name. Keys that are there twice,
// what follows the document, unknown fields of version 1 and specialisations of
// a specialisation are refused; an optional field that is null is none. Errors
// are of class fault.Input.
func Decode(name string, data []byte) (*Spec, error) {
	tree, err := parse(data)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", name, err)
	}
	d := &decoder{}
	spec := d.document(tree, "", false)
	if d.err != nil {
		return nil, fault.New(fault.Input, d.hint, "%s: %w", name, d.err)
	}
	return spec, nil
}

// decoder keeps the first thing that does not fit; what it returns after that
// is of no use.
type decoder struct {
	err  error
	hint string
}

// refuse notes that the value at a key does not fit.
func (d *decoder) refuse(at, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: "+format, append([]any{at}, args...)...)
	}
}

// section is an object of the document.
type section struct {
	*decoder
	at     string // its key, "" for the document
	fields map[string]any
}

// object returns the section that a value is.
func (d *decoder) object(v any, at string) section {
	fields, ok := v.(map[string]any)
	if !ok {
		d.refuse(cmp.Or(at, "document"), "found %s, expected an object", kind(v))
	}
	return section{d, at, fields}
}

// document reads a whole document: the toplevel's, or a specialisation's.
func (d *decoder) document(v any, at string, inner bool) *Spec {
	doc := d.object(v, at)
	spec := &Spec{}
	v1, ok := doc.fields[keyV1]
	if !ok && d.err == nil {
		d.hint = "make the system anew with NixOS 23.05 or newer"
		d.refuse(doc.key(keyV1), "missing")
	}
	d.object(v1, doc.key(keyV1)).v1(spec)

	loader := doc.extension(keySystemdBoot)
	spec.SortKey = cmp.Or(loader.text("sortKey", false), defaultSortKey)
	spec.DeviceTree = loader.path("devicetree", false)
	extra := doc.extension(keyExtraInitrd)
	spec.ExtraInitrds = extra.list("paths", false)
	for i, p := range spec.ExtraInitrds {
		if err := checkRelative(p); err != nil {
			d.refuse(fmt.Sprintf("%s[%d]", extra.key("paths"), i), "path %.300q: %w", p, err)
		}
	}
	doc.specialisations(spec, inner)
	return spec
}

// v1 reads the fields of version 1.
func (s section) v1(spec *Spec) {
	for _, k := range slices.Sorted(maps.Keys(s.fields)) {
		if !slices.Contains(v1Keys, k) {
			s.refuse(s.key(k), "unknown field, expected one of %s", strings.Join(v1Keys, ", "))
		}
	}
	spec.System = s.text("system", true)
	spec.Label = s.text("label", true)
	spec.Init = s.path("init", true)
	spec.Kernel = s.path("kernel", true)
	spec.Initrd = s.path("initrd", false)
	spec.InitrdSecrets = s.path("initrdSecrets", false)
	spec.KernelParams = s.list("kernelParams", true)
	toplevel := s.text("toplevel", true)
	if s.err != nil {
		return
	}
	var err error
	if spec.Toplevel, err = nix.ParseStorePath(toplevel); err != nil {
		s.refuse(s.key("toplevel"), "%w", err)
	}
}

// specialisations reads the map of them. NixOS empties it in a specialisation,
// and RFC 125 has none there.
func (s section) specialisations(spec *Spec, inner bool) {
	all := s.extension(keySpecialisations)
	for _, name := range slices.Sorted(maps.Keys(all.fields)) {
		at := all.key(name)
		switch {
		case inner:
			s.refuse(at, "specialisation of a specialisation, expected none")
		case !plainName.MatchString(name):
			s.refuse(at, "name of a specialisation, expected letters, digits and any of . _ + -, and no dot first")
		case len(name) > maxSpecialisation:
			s.refuse(at, "name of a specialisation of %d bytes, expected at most %d", len(name), maxSpecialisation)
		}
		if s.err != nil {
			return
		}
		if spec.Specialisations == nil {
			spec.Specialisations = map[string]*Spec{}
		}
		spec.Specialisations[name] = s.document(all.fields[name], at, true)
	}
}

// extension returns the object at an optional key.
func (s section) extension(key string) section {
	v, ok := s.fields[key]
	if !ok {
		return section{s.decoder, s.key(key), nil}
	}
	return s.object(v, s.key(key))
}

// key names a field for messages.
func (s section) key(name string) string {
	if !plainName.MatchString(name) || len(name) > maxSpecialisation {
		name = fmt.Sprintf("%.100q", name)
	}
	if s.at == "" {
		return name
	}
	return s.at + "." + name
}

// value returns a field, nil where it is not there and need not be.
func (s section) value(key string, need bool) any {
	v, ok := s.fields[key]
	if !ok && need {
		s.refuse(s.key(key), "missing")
	}
	if v == nil && ok && need {
		s.refuse(s.key(key), "found null, expected a value")
	}
	return v
}

// text returns a text that can stand on a line of a menu entry.
func (s section) text(key string, need bool) string {
	v := s.value(key, need)
	if v == nil {
		return ""
	}
	text, ok := v.(string)
	switch {
	case !ok:
		s.refuse(s.key(key), "found %s, expected a string", kind(v))
	case strings.TrimSpace(text) != text || !plainText(text):
		s.refuse(s.key(key), "found %.300q, expected text without control characters and without space at either end", text)
	}
	return text
}

// path returns a path in the store.
func (s section) path(key string, need bool) Path {
	v := s.value(key, need)
	if v == nil {
		return Path{}
	}
	text, ok := v.(string)
	if !ok {
		s.refuse(s.key(key), "found %s, expected a string", kind(v))
		return Path{}
	}
	p, err := ParsePath(text)
	if err != nil {
		s.refuse(s.key(key), "%w", err)
	}
	return p
}

// list returns a list of texts that have no control characters.
func (s section) list(key string, need bool) []string {
	v := s.value(key, need)
	if v == nil {
		return nil
	}
	values, ok := v.([]any)
	if !ok {
		s.refuse(s.key(key), "found %s, expected an array of strings", kind(v))
	}
	var out []string
	for i, v := range values {
		at := fmt.Sprintf("%s[%d]", s.key(key), i)
		text, ok := v.(string)
		switch {
		case !ok:
			s.refuse(at, "found %s, expected a string", kind(v))
		case !plainText(text):
			s.refuse(at, "found %.300q, expected text without control characters", text)
		}
		out = append(out, text)
	}
	return out
}

// plainText reports whether s is something, on one line. U+FFFD is what JSON
// that is not Unicode has become.
func plainText(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError })
}

// kind says what a value is.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "an object"
}
