package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// TestRecoverWithoutKey: that no key is brought is said before and after, and how one is
// brought later.
func TestRecoverWithoutKey(t *testing.T) {
	for _, tt := range []struct {
		name         string
		without      []string
		before       string
		after, never string
	}{
		{"no secrets", nil, "will put no age key into it: the stick has no secrets that a key opens", "mkimage-rescue key", "mkimage-rescue home"},
		{"asked for", []string{partKey, partHome}, "will put no age key into it: --without key says so", "mkimage-rescue home", "sticks"},
	} {
		var out, errs bytes.Buffer
		p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
		j := &rescuing{recovery: &recovery{without: tt.without}, desk: &desk{p: p}}
		j.tellPlan()
		if err := j.tell(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(errs.String(), tt.before) || !strings.Contains(out.String(), "No age key was put into it") || !strings.Contains(out.String(), tt.after) || strings.Contains(out.String(), tt.never) {
			t.Errorf("%s:\n%s%s", tt.name, &errs, &out)
		}
	}
}

// TestRecoverUnasked: what agrees where nobody can be asked is a flag that there is.
func TestRecoverUnasked(t *testing.T) {
	for _, tt := range []struct {
		has  bool
		want string
	}{{false, "--erase S1"}, {true, "--to /dev/sdx"}} {
		p := &program{stdin: strings.NewReader("")}
		j := &rescuing{recovery: &recovery{}, desk: &desk{p: p}, has: tt.has, target: disks.Disk{Path: "/dev/sdx", Serial: "S1"}}
		if err := j.agreed(t.Context()); fault.ClassOf(err) != fault.Usage || fault.HintOf(err) != tt.want {
			t.Errorf("has %v: %v, hint %q; want %q", tt.has, err, fault.HintOf(err), tt.want)
		}
	}
}
