package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// TestClassAndHint wraps errors in each other: the outermost class and the
// outermost hint hold, and the cause stays reachable.
func TestClassAndHint(t *testing.T) {
	inner := New(Input, "look again", "file %q: %w", "x", io.ErrUnexpectedEOF)
	tests := []struct {
		name  string
		err   error
		class Class
		hint  string
		text  string
	}{
		{"plain", io.EOF, Internal, "", "EOF"},
		{"classified", inner, Input, "look again", `file "x": unexpected EOF`},
		{"wrapped", fmt.Errorf("scan: %w", inner), Input, "look again", `scan: file "x": unexpected EOF`},
		{"class over class", New(Target, "", "write: %w", inner), Target, "look again", `write: file "x": unexpected EOF`},
		{"hint over hint", New(Usage, "type this", "flag: %w", inner), Usage, "type this", `flag: file "x": unexpected EOF`},
		{"joined", errors.Join(io.EOF, inner), Input, "look again", "EOF\nfile \"x\": unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if ClassOf(test.err) != test.class || HintOf(test.err) != test.hint || test.err.Error() != test.text {
				t.Errorf("class %d, hint %q, text %q; want %d, %q, %q", ClassOf(test.err), HintOf(test.err), test.err, test.class, test.hint, test.text)
			}
			if test.class != Internal && !errors.Is(test.err, io.ErrUnexpectedEOF) {
				t.Errorf("the cause is lost")
			}
		})
	}
}
