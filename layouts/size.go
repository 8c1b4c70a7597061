package layouts

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// units are the suffixes of a size, powers of 1024; the long ones first.
var units = []struct {
	suffix string
	shift  int
}{
	{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40},
	{"K", 10}, {"M", 20}, {"G", 30}, {"T", 40},
	{"", 0},
}

// UnmarshalText reads a size: a whole number of bytes, or one with a unit.
func (s *Size) UnmarshalText(text []byte) error {
	digits, shift := string(text), 0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, shift = rest, u.shift
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return fmt.Errorf("expected a size such as 512MiB or 1GiB, found %q", text)
	}
	*s = Size(n << shift)
	return nil
}

// UnmarshalJSON reads the number of bytes that JSON has: text with a unit is
// for people, in TOML.
func (s *Size) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, (*int64)(s))
}

// String writes a size with the largest unit that leaves a whole number.
func (s Size) String() string {
	for _, u := range []struct {
		suffix string
		shift  int
	}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if s != 0 && s%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d%s", s>>u.shift, u.suffix)
		}
	}
	return fmt.Sprintf("%d", int64(s))
}
