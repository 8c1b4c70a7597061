package docs

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// The size of two printed pages of a monospaced font of 10 points.
const (
	maxLines   = 110
	maxColumns = 100
)

// TestRecovery wants the paper to fit two pages, and to name every command of the menu.
func TestRecovery(t *testing.T) {
	text := string(Recovery)
	if n := strings.Count(text, "\n"); n > maxLines || !utf8.ValidString(text) {
		t.Errorf("recovery.md: %d lines, UTF-8: %v; want at most %d lines", n, utf8.ValidString(text), maxLines)
	}
	for n, line := range strings.Split(text, "\n") {
		if columns := utf8.RuneCountInString(line); columns > maxColumns || strings.ContainsAny(line, "\t\r") {
			t.Errorf("recovery.md:%d: %d columns, or a tab; want at most %d columns", n+1, columns, maxColumns)
		}
	}
	for _, command := range []string{
		"recover", "home", "browse", "copy", "key", "rollback", "generation", "boot", "swapfile", "check", "save", "enter", "shell", "inventory",
	} {
		if !strings.Contains(text, "mkimage-rescue "+command) {
			t.Errorf("recovery.md does not name mkimage-rescue %s", command)
		}
	}
}
