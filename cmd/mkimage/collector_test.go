package main

import "testing"

func TestMemoryLimit(t *testing.T) {
	const edge = softLimit / 5 * 4
	for _, tt := range []struct {
		name  string
		inUse uint64
		want  int64
	}{
		{"nothing", 0, softLimit},
		{"below what the limit has room for", edge - 4, softLimit},
		{"as much", edge, softLimit},
		{"more", edge + 4, softLimit + 2},
		{"twice as much", 2 * softLimit, 2 * softLimit / 4 * 5},
	} {
		if got := memoryLimit(tt.inUse); got != tt.want {
			t.Errorf("%s: limit of %d in use: %d; want %d", tt.name, tt.inUse, got, tt.want)
		}
	}
}
