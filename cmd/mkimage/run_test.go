package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestExitCode(t *testing.T) {
	tests := []struct {
		name string
		in   error
		want int
	}{
		{"unclassified", errors.New("x"), 1},
		{"internal", fault.New(fault.Internal, "", "x"), 1},
		{"usage", fault.New(fault.Usage, "", "x"), 2},
		{"config", fault.New(fault.Config, "", "x"), 3},
		{"input", fault.New(fault.Input, "", "x"), 4},
		{"target", fault.New(fault.Target, "", "x"), 5},
		{"mismatch", fault.New(fault.Mismatch, "", "x"), 6},
		{"wrapped", fmt.Errorf("y: %w", fault.New(fault.Target, "", "x")), 5},
		{"joined", errors.Join(fault.New(fault.Input, "", "x"), errors.New("y")), 4},
		{"interrupted", fmt.Errorf("y: %w", context.Canceled), 130},
		{"interrupted while reading", fault.New(fault.Input, "", "x: %w", context.Canceled), 130},
	}
	for _, tt := range tests {
		if got := exitCode(tt.in); got != tt.want {
			t.Errorf("%s: exitCode(%v) = %d; want %d", tt.name, tt.in, got, tt.want)
		}
	}
}

// TestExitStatusNamesAllCodes keeps the help in step with the classes.
func TestExitStatusNamesAllCodes(t *testing.T) {
	text := exitStatus(newRoot(&ui{}))
	for _, code := range []int{0, 1, 2, 3, 4, 5, 6, exitInterrupted} {
		if !strings.Contains(text, fmt.Sprintf("  %-4d ", code)) {
			t.Errorf("exit code %d is not in\n%s", code, text)
		}
	}
}

func TestProtect(t *testing.T) {
	err := protect(func() error { panic("btrfs: broken invariant") })
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "bug: btrfs: broken invariant\n") || !strings.Contains(err.Error(), "run_test.go") {
		t.Errorf("protect = %v; want the panic's text and its stack, of class Internal", err)
	}
	want := errors.New("x")
	if got := protect(func() error { return want }); got != want {
		t.Errorf("protect = %v; want %v", got, want)
	}
}

// TestHelpOfAllCommands asks every command for its help: it must have a
// description, examples and the exit codes at its end.
func TestHelpOfAllCommands(t *testing.T) {
	for _, cmd := range newRoot(&ui{}).Commands() {
		if cmd.Hidden {
			continue
		}
		var out, errs strings.Builder
		if code := run(t.Context(), []string{cmd.Name(), "--help"}, stdio{out: &out, err: &errs}); code != 0 {
			t.Errorf("%s --help: exit code %d, %s", cmd.Name(), code, &errs)
		}
		head, tail, ok := strings.Cut(out.String(), "\nEXIT STATUS:\n")
		if !ok || !strings.HasPrefix(tail, "  0 ") {
			t.Errorf("%s --help does not end with the exit codes", cmd.Name())
		}
		if !strings.Contains(head, "\nExamples:\n") {
			t.Errorf("%s --help has no examples", cmd.Name())
		}
	}
}
