// Package fault gives an error its class and its hint.
//
// The class is decided where the cause is known and mapped to an exit code
// once, in cmd; the hint is something the user can do or type. Text follows
// the Go habit: lower case, no full stop, the object first, then what was
// found and what was expected.
package fault

import (
	"errors"
	"fmt"
)

// Class says whose turn it is to act on an error. Its value is the exit code
// of the mkimage command.
type Class int

// The classes, in the order of their exit codes.
const (
	Internal Class = 1 // a bug of ours, or the host's I/O failed
	Usage    Class = 2 // the command line is wrong
	Config   Class = 3 // a profile or a layout is wrong
	Input    Class = 4 // an input is missing, unreadable, hostile or changed
	Target   Class = 5 // the target was refused: too small, in use, exists
	Mismatch Class = 6 // verification found differences or damage
)

// Error is an error with a class and, where there is one, a hint.
type Error struct {
	Class Class
	Hint  string // what to do or to type; empty when there is nothing to say
	Err   error  // never nil
}

// Error returns the text of the underlying error; the hint is printed apart.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the underlying error.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of class c. The format may hold %w.
func New(c Class, hint, format string, args ...any) error {
	return &Error{Class: c, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// ClassOf returns the class of the outermost classified error in err's chain,
// Internal when there is none.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Internal
}

// HintOf returns the outermost hint in err's chain, or "".
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
