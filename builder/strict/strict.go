// Package strict reads TOML files that people write, so that a mistake in one
// is found when it is read and not when a machine fails to boot.
//
// What is not understood is refused: unknown keys, values of the wrong type or
// outside of what a type accepts, keys set twice. All problems of all files
// involved are reported together, each with its file, line and column, what
// was expected, and the nearest name that would have been right. Only a syntax
// error hides what comes after it in the same file.
//
// A file may extend another: tables merge key by key, scalars replace, lists
// add to what is inherited. See merge.go for the rules and Library for how a
// name leads to a chain of files. For every value that is set, Origins keeps
// where that was.
//
// The types to decode into are structs whose fields carry a toml tag and are
// structs, strings, booleans, integers, types that implement
// encoding.TextUnmarshaler, and slices of strings or of structs that have a
// field with the tag "name". A field without a tag, or with the tag "-", is
// left alone. Floating-point numbers and dates are read and refused, as no
// setting needs one.
//
// The grammar is TOML 1.1, https://toml.io/en/v1.1.0, parsed by
// github.com/pelletier/go-toml/v2.
package strict

import "reflect"

// Decode reads one TOML document into the struct that into points to. Nothing
// is inherited: an element that takes an inherited one away is a problem.
// File is the name of the document in messages. The error is of class
// fault.Config and holds Problems; into is then of no use.
func Decode(file string, data []byte, into any) (Origins, error) {
	doc, problems, _ := parse(file, data)
	target := reflect.ValueOf(into).Elem()
	problems = append(problems, fill(reflect.New(target.Type()).Elem(), doc)...)
	merged, more := merge(newTable(Position{File: file}), doc)
	problems = append(problems, more...)
	if err := problems.err(); err != nil {
		return nil, err
	}
	fill(target, merged)
	return origins(merged), nil
}
