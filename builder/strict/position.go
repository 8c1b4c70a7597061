package strict

import (
	"fmt"
	"strconv"
	"strings"
)

// Position is where something was set. Line and Column start at 1, columns
// count characters; a Line of 0 means File as a whole, which for a value of
// the command line is "--set".
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String returns file:line:column, which editors and terminals can follow.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// IsZero reports whether p is no position at all.
func (p Position) IsZero() bool { return p == Position{} }

// Origins says where each value was set, by key. A key is written as in TOML
// with dots between its parts; an element of an array of tables is named by
// its name, one of another list by its number from 0:
//
//	hostname
//	kernel.parameters[1]
//	users.bandit.uid
//
// What is not in Origins was not set and has the zero value of its type.
type Origins map[string]Position

// Of returns where key was set or, when it was not, the nearest table that it
// would be in.
func (o Origins) Of(key string) Position {
	for {
		if p, ok := o[key]; ok {
			return p
		}
		if key == "" {
			return Position{}
		}
		key = parent(key)
	}
}

// Join returns the key of name within the table or array of tables key.
func Join(key, name string) string {
	if !isBare(name) {
		name = strconv.Quote(name)
	}
	if key == "" {
		return name
	}
	return key + "." + name
}

// Index returns the key of element i of the list key.
func Index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

// isBare reports whether a part of a key needs no quotes. TOML's own bare keys
// are narrower; names such as "@home" are too common here to quote.
func isBare(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '@' && r != '-' && r != '_' && r != '/' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// parent returns the key without its last part or index.
func parent(key string) string {
	parts, err := splitKey(key)
	if err != nil || len(parts) == 0 {
		return ""
	}
	last := parts[len(parts)-1]
	if i := strings.LastIndexByte(key, '['); strings.HasSuffix(key, "]") && i > 0 {
		return key[:i]
	}
	return strings.TrimSuffix(strings.TrimSuffix(key, last), ".")
}

// splitKey cuts a key at its dots, except those in double quotes. The parts
// keep their quotes.
func splitKey(key string) ([]string, error) {
	var parts []string
	for rest := key; ; {
		end := strings.IndexByte(rest, '.')
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("key %q: a quote is not closed", key)
			}
			end = len(quoted)
			if end < len(rest) && rest[end] != '.' {
				return nil, fmt.Errorf("key %q: expected a dot after %s", key, quoted)
			}
			if end == len(rest) {
				end = -1
			}
		}
		if end < 0 {
			return append(parts, rest), nil
		}
		parts, rest = append(parts, rest[:end]), rest[end+1:]
	}
}
