package ids

import (
	"encoding/hex"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// ParseUUID reads the form that String writes, in either case.
func ParseUUID(text string) (UUID, error) {
	var u UUID
	bad := fault.New(fault.Input, "", "UUID %q: expected 8-4-4-4-12 hexadecimal digits", text)
	if len(text) != 36 {
		return u, bad
	}
	digits := make([]byte, 0, 2*len(u))
	for i := range len(text) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (text[i] == '-') {
			return u, bad
		}
		if !dash {
			digits = append(digits, text[i])
		}
	}
	if _, err := hex.Decode(u[:], digits); err != nil {
		return UUID{}, bad
	}
	return u, nil
}

// MarshalText implements encoding.TextMarshaler.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *UUID) UnmarshalText(text []byte) (err error) {
	*u, err = ParseUUID(string(text))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (s Seed) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Unlike Parse it takes the
// whole form only, since what is stored was written by MarshalText.
func (s *Seed) UnmarshalText(text []byte) error {
	if len(text) != 2*len(s) {
		return fault.New(fault.Input, "", "seed %q: expected %d hexadecimal digits", text, 2*len(s))
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return fault.New(fault.Input, "", "%w", err)
	}
	*s = parsed
	return nil
}
