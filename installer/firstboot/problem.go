package firstboot

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Code says why a step of the first boot was not done. Its value is the exit
// code of mkimage-firstboot.
type Code int

// The codes, for people and scripts to branch on: they do not change. Those of
// restic keep restic's numbers.
const (
	CodeNoRepository Code = 10 // no repository where it should be
	CodeLocked       Code = 11 // another process of this machine is at it
	CodePassword     Code = 12 // the repository's password is wrong
	CodeNoKey        Code = 20 // no key was found
	CodeOtherKey     Code = 21 // a key was found, which opens none of the secrets
	CodeBadKey       Code = 22 // what should be a key is none
	CodePassphrase   Code = 23 // the key's passphrase is wrong
	CodeMemory       Code = 24 // too little memory to try a passphrase
	CodeSecret       Code = 25 // a secret cannot be decrypted or put where it goes
	CodeNoDisk       Code = 30 // the disk with the backup is not there
	CodeDisk         Code = 31 // it is, and cannot be mounted or read
	CodeNoSnapshot   Code = 32 // the repository has no snapshot of this machine
	CodeSpace        Code = 33 // the snapshot does not fit
	CodeDamaged      Code = 34 // the repository lacks data or is damaged
	CodeIncomplete   Code = 35 // not everything was restored
	CodeNotPristine  Code = 36 // there is data already: the backup lies beside it
	CodeNotYet       Code = 37 // what must come before is not done
)

// Problem is why a step was not done, and what to do about it.
type Problem struct {
	Code Code
	Hint string // what to type or do
	Err  error  // never nil
}

// Error implements error; the hint is shown apart.
func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// NewProblem makes a Problem. The format may hold %w.
func NewProblem(code Code, hint, format string, args ...any) error {
	return &Problem{Code: code, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// Located puts where something was found before a problem, which keeps its code
// and hint.
func Located(where string, err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return NewProblem(p.Code, p.Hint, "%s: %w", where, p.Err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// CodeOf returns the code of the outermost Problem in err's chain, or 0.
func CodeOf(err error) Code {
	var p *Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return 0
}

// HintOf returns the outermost hint in err's chain, of a Problem or of a fault,
// or "".
func HintOf(err error) string {
	var p *Problem
	if errors.As(err, &p) && p.Hint != "" {
		return p.Hint
	}
	return fault.HintOf(err)
}

// Program is the name of the program that hints tell to type.
const Program = "mkimage-firstboot"

// Typed returns a text, such as a hint, with the program as it has to be typed
// where it is not in the search path.
func Typed(text, program string) string {
	if program == "" {
		return text
	}
	return strings.ReplaceAll(text, Program+" ", program+" ")
}

// ResultOf returns how a step stands that ended in err: Done without one,
// Waiting when it can be done once something is plugged in or imported, else
// Failed.
func ResultOf(err error) string {
	switch {
	case err == nil:
		return Done
	case slices.Contains([]Code{CodeNoKey, CodeNoDisk, CodeNotYet}, CodeOf(err)):
		return Waiting
	}
	return Failed
}
