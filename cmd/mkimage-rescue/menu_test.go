package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/rescue/menu"
)

// TestEntries: the menu has what there are commands for, in its own order.
func TestEntries(t *testing.T) {
	run := func(*cobra.Command, []string) error { return nil }
	root := &cobra.Command{Use: "p"}
	for _, name := range []string{"reboot", "other", "home", "recover", "menu"} {
		root.AddCommand(&cobra.Command{Use: name + " [--x]", Short: "short", Long: "first\nof " + name + "\n\nsecond", RunE: run})
	}
	root.AddCommand(&cobra.Command{Use: "secret", Hidden: true, RunE: run})
	for _, here := range []bool{true, false} {
		want := []string{"recover: bring everything back: system, key, home", "home: bring the home back from the backup", "reboot: restart the machine", "other: short"}
		if !here {
			want = slices.Delete(want, 2, 3)
		}
		var got []string
		for _, e := range entriesOf(root, here) {
			got = append(got, strings.Join(e.Command, " ")+": "+e.Title)
			if want := "first\nof " + e.Command[0]; e.Explain != want {
				t.Errorf("%q is explained by %q; want %q", e.Command, e.Explain, want)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("on a medium: %v (-want +got):\n%s", here, diff)
		}
	}
}

// TestMenuFits: the whole menu is on a screen of 80 columns, and of 25 lines with
// the least that is shown above.
func TestMenuFits(t *testing.T) {
	var entries []menu.Entry
	for _, e := range titles {
		entries = append(entries, menu.Entry{Title: e.title, Command: []string{e.name}})
	}
	var out bytes.Buffer
	if err := (&menu.Menu{Program: "p", Entries: entries, In: strings.NewReader(""), Out: &out}).Loop(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for _, l := range lines {
		if len(l) > 79 {
			t.Errorf("%d columns: %q", len(l), l)
		}
	}
	if len(lines) > 24 {
		t.Errorf("%d lines:\n%s", len(lines), &out)
	}
	root := newRoot(&program{})
	for _, e := range entriesOf(root, true) {
		for l := range strings.Lines(e.Explain) {
			if len(l) > 80+1 {
				t.Errorf("%s: %d columns: %q", e.Command[0], len(l), l)
			}
		}
	}
}

// TestOnlyHere: what ends the time of a machine, or takes it, is refused elsewhere.
func TestOnlyHere(t *testing.T) {
	for _, args := range [][]string{{"reboot"}, {"poweroff", "--unmount"}, {"machine"}} {
		var out bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != int(fault.Usage) || !strings.Contains(out.String(), args[0]+": is for the rescue environment of a medium") || !strings.Contains(out.String(), "hint: ") {
			t.Errorf("%q: code %d\n%s", args, code, &out)
		}
	}
}

func TestShellEnvironment(t *testing.T) {
	in := []string{"PS1=$ ", "PATH=/bin", "PATHX=1", "HOME=/"}
	if diff := cmp.Diff([]string{"PATHX=1", "HOME=/", "PS1=rescue# ", "PATH=" + searchPath}, shellEnvironment(in, true)); diff != "" {
		t.Errorf("here (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"PATH=/bin", "PATHX=1", "HOME=/", "PS1=rescue# "}, shellEnvironment(in, false)); diff != "" {
		t.Errorf("elsewhere (-want +got):\n%s", diff)
	}
}
