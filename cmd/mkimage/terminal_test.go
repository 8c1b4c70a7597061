package main

import (
	"strings"
	"testing"
)

// typed records what a machine gets; after room bytes it is gone.
type typed struct {
	text   string
	button int
	room   int
}

func (k *typed) send(b byte) {
	if len(k.text) < k.room {
		k.text += string([]byte{b})
	}
}

func (k *typed) powerButton() { k.button++ }

func TestTypeInto(t *testing.T) {
	for _, tt := range []struct {
		name, in, text string
		button         int
		ended          bool
	}{
		{"text", "root\r\x03\xc3\xa9", "root\r\x03\xc3\xa9", 0, false},
		{"end", "a\x01xb", "a", 0, true},
		{"end, upper case", "\x01X", "", 0, true},
		{"button", "a\x01pb\x01P", "ab", 2, false},
		{"the key itself", "\x01a\x01A\x01\x01x", "\x01\x01\x01x", 0, false},
		{"unknown", "\x01zx", "zx", 0, false},
		{"left open", "a\x01", "a", 0, false},
		{"machine gone", strings.Repeat("x", 20), strings.Repeat("x", 10), 0, false},
		{"end of a machine that takes no keys", strings.Repeat("x", 20) + "\x01p\x01x", strings.Repeat("x", 10), 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &typed{room: 10}
			ended := typeInto(strings.NewReader(tt.in), k)
			if k.text != tt.text || k.button != tt.button || ended != tt.ended {
				t.Errorf("typeInto(%q) = %v; sent %q, button %d times; want %v, %q, %d", tt.in, ended, k.text, k.button, tt.ended, tt.text, tt.button)
			}
		})
	}
}
