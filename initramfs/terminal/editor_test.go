package terminal

import (
	"slices"
	"strings"
	"testing"
)

// A line is never longer than its memory, and nothing of it is left there.
func FuzzEditor(f *testing.F) {
	f.Add([]byte("open\x1b[Dx\x7f\x15\xc3\xa4\x7f"))
	f.Add([]byte(strings.Repeat("x", MaxLine+1)))
	f.Fuzz(func(t *testing.T, keys []byte) {
		e := editor{line: make([]byte, 0, MaxLine)}
		memory := e.line[:MaxLine]
		for _, k := range keys {
			e.key(k)
			if len(e.line) > MaxLine || cap(e.line) != MaxLine || slices.ContainsFunc(e.line, func(b byte) bool { return b < ' ' || b == keyDelete }) {
				t.Fatalf("line %q of %q", e.line, keys)
			}
		}
		e.wipe()
		if slices.ContainsFunc(memory, func(b byte) bool { return b != 0 }) || len(e.line) != 0 {
			t.Errorf("%q is left", memory)
		}
	})
}
