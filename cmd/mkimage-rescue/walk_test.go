package main

import (
	"strings"
	"testing"
)

func TestFromTo(t *testing.T) {
	for _, tt := range []struct {
		in, from, to string // no from: refused
	}{
		{"notes to /tmp/back", "notes", "/tmp/back"},
		{"back to you to /tmp/new", "back to you", "/tmp/new"},
		{`"back to you" to /tmp/new`, "back to you", "/tmp/new"},
		{`'back to you' to "/tmp/so to speak"`, "back to you", "/tmp/so to speak"},
		{`notes to "/tmp/so to speak"`, "notes", "/tmp/so to speak"},
		{`"notes" to /tmp/so to speak`, "notes", "/tmp/so to speak"},
		{`'it has a " in it' to /tmp/x`, `it has a " in it`, "/tmp/x"},
		{`"half to /tmp/x`, `"half`, "/tmp/x"},
		{`5" of it to /tmp/x`, `5" of it`, "/tmp/x"},
		{"  notes   to   LABEL=x:back ", "notes", "LABEL=x:back"},
		{"notes", "", ""}, {"notes to", "", ""}, {"notes to ", "", ""}, {" to /tmp/x", "", ""}, {"", "", ""}, {`"`, "", ""}, {`"" to /tmp/x`, "", ""}, {`notes to ""`, "", ""},
	} {
		from, to, ok := fromTo(tt.in)
		if ok != (tt.from != "") || ok && (from != tt.from || to != tt.to) {
			t.Errorf("fromTo(%s) = %q, %q, %v; want %q, %q", tt.in, from, to, ok, tt.from, tt.to)
		}
	}
	for line := range strings.Lines(walkHelp) {
		if len(line) > 80 {
			t.Errorf("%d columns: %q", len(line)-1, line)
		}
	}
}
