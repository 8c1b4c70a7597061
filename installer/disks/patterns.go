package disks

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// CheckRules refuses rules that cannot be meant: a pattern that is empty or that
// path.Match does not understand, a bus that no disk is on, a size that is none,
// a least size above the greatest. The error has class fault.Config.
func CheckRules(r profiles.DiskRules) error {
	low, err := parseLimit("min_size", r.MinSize)
	if err != nil {
		return err
	}
	high, err := parseLimit("max_size", r.MaxSize)
	if err != nil {
		return err
	}
	if r.MinSize != "" && r.MaxSize != "" && low > high {
		return fault.New(fault.Config, "", "disk rule max_size: %s is less than min_size, %s", r.MaxSize, r.MinSize)
	}
	for _, list := range patternRules(r) {
		for _, p := range list.patterns {
			if err := checkPattern(p); err != nil {
				return fault.New(fault.Config, "", "disk rule %s: %w", list.name, err)
			}
			if list.name == "bus" && !slices.ContainsFunc(profiles.Buses, func(b string) bool { return matches(p, b) }) {
				return fault.New(fault.Config, "", "disk rule bus: %q, expected one of %s", p, strings.Join(profiles.Buses, ", "))
			}
		}
	}
	return nil
}

// patternRule is a rule of a list of patterns.
type patternRule struct {
	name     string
	patterns []string
	value    func(d Disk) string
}

func patternRules(r profiles.DiskRules) []patternRule {
	return []patternRule{
		{"bus", r.Bus, func(d Disk) string { return d.Bus }},
		{"model", r.Model, func(d Disk) string { return d.Model }},
		{"serial", r.Serial, func(d Disk) string { return d.Serial }},
		{"wwid", r.WWID, func(d Disk) string { return d.WWID }},
	}
}

// parseLimit reads a size in bytes, 0 for "".
func parseLimit(name, text string) (int64, error) {
	var s layouts.Size
	if text == "" {
		return 0, nil
	}
	if err := s.UnmarshalText([]byte(text)); err != nil {
		return 0, fault.New(fault.Config, "", "disk rule %s: %w", name, err)
	}
	return int64(s), nil
}

// checkPattern refuses what must not be taken for "anything".
func checkPattern(pattern string) error {
	if strings.TrimSpace(pattern) == "" {
		return fmt.Errorf("a pattern is empty, expected words or a glob pattern")
	}
	if _, err := path.Match(fold(pattern), ""); err != nil {
		return fmt.Errorf("%q: %w", pattern, err)
	}
	return nil
}

// fold makes words comparable without regard to case, and to what udev makes of
// spaces.
func fold(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == '_' }), "_")
}

// matches reports whether a pattern matches. A disk that does not say what it is
// matches none, not even "*".
func matches(pattern, value string) bool {
	if strings.TrimSpace(value) == "" || checkPattern(pattern) != nil {
		return false
	}
	ok, err := path.Match(fold(pattern), fold(value))
	return ok && err == nil
}

// namesExactly reports whether a list has the serial number itself, not a
// pattern that it matches.
func namesExactly(list []string, serial string) bool {
	return strings.TrimSpace(serial) != "" && slices.ContainsFunc(list, func(s string) bool {
		return !strings.ContainsAny(s, `*?[\`) && fold(s) == fold(serial)
	})
}
