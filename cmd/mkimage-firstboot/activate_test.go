package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestActivate: who decrypts the secrets of a NixOS.
func TestActivate(t *testing.T) {
	const unit = "sops-install-secrets.service"
	for _, tt := range []struct {
		name, script string
		unit         bool
		calls        []string
		err          string
	}{
		{"unit", "exit 3", true, []string{"cat " + unit, "restart " + unit}, ""},
		{"activation", "exit 0", false, []string{"cat " + unit}, ""},
		{"activation fails", "exit 3", false, []string{"cat " + unit}, "run/current-system/activate: exit status 3"},
		{"neither", "", false, []string{"cat " + unit}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls []string
			s := &system{root: t.TempDir(), systemctl: func(_ context.Context, args ...string) error {
				calls = append(calls, strings.Join(args, " "))
				if !tt.unit {
					return errors.New("no such unit")
				}
				return nil
			}}
			dir := filepath.Join(s.root, "run/current-system")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.script != "" {
				if err := os.WriteFile(filepath.Join(dir, "activate"), []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			err := s.activate(t.Context())
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || !slices.Equal(calls, tt.calls) {
				t.Errorf("activate: %v, calls %q; want %q, %q", err, calls, tt.err, tt.calls)
			}
		})
	}
}
