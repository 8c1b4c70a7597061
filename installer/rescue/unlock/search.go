package unlock

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// tries is how often a passphrase or a password may be wrong.
const tries = 3

// Place is where the age key of a machine may be.
type Place struct {
	Name string                 // for people, such as "the key medium /dev/sdb1"
	Read func() ([]byte, error) // the file of the key, encrypted or not
}

// Search looks for a key in some places, first in those that ask nothing.
type Search struct {
	Places     []Place  // in the order of trying
	Recipients []string // public keys, any of which opens the secrets; none takes every key

	// Ask asks for a line that is not shown, and returns an empty one where somebody
	// wants to go on without; nil where nobody can be asked.
	Ask   func(ctx context.Context, prompt string) ([]byte, error)
	Typed bool              // a person may type the key itself
	Note  func(line string) // is told why a place was of no use; may be nil

	// Memory returns the bytes that a program can take: a passphrase that would take more
	// is not tried. nil asks the kernel.
	Memory func() (int64, error)
}

// Found is a key and where it was.
type Found struct {
	Key   *agekey.Key
	Where string
}

// Key returns the first key that opens the secrets. The error is a CodeNoKey, or what was
// wrong with the last key that there was.
func (s *Search) Key(ctx context.Context) (*Found, error) {
	var problem error
	var closed []closedKey
	for _, p := range s.Places {
		data, err := p.Read()
		if err == nil && agekey.IsEncrypted(data) {
			closed = append(closed, closedKey{p.Name, data})
			continue
		}
		found, err := s.accept(p.Name, data, err)
		if err == nil {
			return found, nil
		}
		if firstboot.CodeOf(err) != firstboot.CodeNoKey {
			problem = err
			s.note(err)
		}
	}
	for i, c := range closed {
		if c.isOneOf(closed[:i]) {
			continue
		}
		found, err := s.open(ctx, c)
		if found != nil || ctx.Err() != nil {
			return found, err
		}
		problem = err
		s.note(err)
	}
	if s.Typed && s.Ask != nil {
		found, err := s.typed(ctx)
		if found != nil || ctx.Err() != nil {
			return found, err
		}
		if err != nil {
			problem = err
		}
	}
	if problem == nil {
		problem = firstboot.NewProblem(firstboot.CodeNoKey, "plug in the key medium, wait a moment, and begin again", "no key of age was found")
	}
	return nil, problem
}

func (s *Search) note(err error) {
	if s.Note != nil {
		s.Note(err.Error())
	}
}

// accept parses the text of a key, wipes it, and refuses a key that opens nothing.
func (s *Search) accept(where string, text []byte, err error) (*Found, error) {
	defer clear(text)
	var key *agekey.Key
	if err == nil {
		key, err = agekey.Parse(text)
	}
	if err == nil && len(s.Recipients) > 0 {
		err = agekey.Check(key, s.Recipients)
	}
	if err != nil {
		return nil, located(where, err)
	}
	return &Found{key, where}, nil
}

// located puts where a key was before what is wrong with it.
func located(where string, err error) error {
	if firstboot.CodeOf(err) != 0 {
		return firstboot.Located(where, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// closedKey is a key that a passphrase opens.
type closedKey struct {
	where string
	data  []byte
}

func (c closedKey) isOneOf(list []closedKey) bool {
	for _, other := range list {
		if bytes.Equal(c.data, other.data) {
			return true
		}
	}
	return false
}

// open asks for the passphrase of a key.
func (s *Search) open(ctx context.Context, c closedKey) (*Found, error) {
	if s.Ask == nil {
		return nil, firstboot.NewProblem(firstboot.CodeNoKey, "run it on a terminal", "%s: the key has a passphrase, and nobody can be asked for it", c.where)
	}
	problem := firstboot.NewProblem(firstboot.CodeNoKey, "", "%s: the key has a passphrase, which nobody gave", c.where)
	for left := tries; left > 0; left-- {
		passphrase, err := s.Ask(ctx, fmt.Sprintf("Passphrase of the key on %s (Enter goes on without it): ", c.where))
		if err != nil || len(passphrase) == 0 {
			return nil, cmp.Or(err, problem)
		}
		memory, err := s.memory()
		if err != nil {
			return nil, err
		}
		debug.FreeOSMemory() // of the try before
		text, err := agekey.Decrypt(c.data, passphrase, memory)
		clear(passphrase)
		if firstboot.CodeOf(err) == firstboot.CodePassphrase {
			problem = firstboot.Located(c.where, err)
			s.note(err)
			continue
		}
		return s.accept(c.where, text, err)
	}
	return nil, problem
}

func (s *Search) memory() (int64, error) {
	if s.Memory != nil {
		return s.Memory()
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return firstboot.MemAvailable(string(text))
}

// typed asks for the key itself; nil without an error where nobody types one.
func (s *Search) typed(ctx context.Context) (*Found, error) {
	var problem error
	for left := tries; left > 0; left-- {
		text, err := s.Ask(ctx, "The secret key itself, AGE-SECRET-KEY-1… (Enter goes on without it): ")
		if err != nil || len(text) == 0 {
			return nil, cmp.Or(err, problem)
		}
		found, err := s.accept("what was typed", text, nil)
		if err == nil {
			return found, nil
		}
		problem = err
		s.note(err)
	}
	return nil, problem
}
