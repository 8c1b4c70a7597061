package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const usage = "usage: mkimage-hibernate watch|check|prepare|woken SWAPFILE\n"
	tests := []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string
	}{
		{"nothing", nil, 2, "", usage},
		{"no file", []string{"check"}, 2, "", usage},
		{"two files", []string{"check", "/a", "/b"}, 2, "", usage},
		{"other command", []string{"look", "/a"}, 2, "", usage},
		{"to prepare for a file that is not there", []string{"prepare", "/no/such/swapfile"}, 1, "", "hibernation refused: "},
		{"a file that is not there", []string{"check", "/no/such/swapfile"}, 1, "", "hibernation refused: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(tt.args, &stdout, &stderr)
			if status != tt.status || stdout.String() != tt.stdout || !strings.HasPrefix(stderr.String(), tt.stderr) || strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("run %q = %d, stdout %q, stderr %q; want %d, %q, %q", tt.args, status, &stdout, &stderr, tt.status, tt.stdout, tt.stderr)
			}
		})
	}
}
