package main

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestParseSize(t *testing.T) {
	tests := []struct {
		in   string
		want int64 // 0: refused
	}{
		{"1", 1}, {"4096B", 4096}, {"1K", 1 << 10}, {"1KiB", 1 << 10}, {"3M", 3 << 20}, {"3MiB", 3 << 20},
		{"16G", 16 << 30}, {"16GiB", 16 << 30}, {"2T", 2 << 40}, {"2TiB", 2 << 40},
		{"9223372036854775807", 1<<63 - 1},
		{"8388607TiB", 8388607 << 40},
		{"8388608TiB", 0}, // 2^63
		{"9223372036854775808", 0},
		{"", 0}, {"0", 0}, {"-1", 0}, {"-1K", 0}, {"K", 0}, {"1.5G", 0}, {"1 G", 0}, {"1GB", 0}, {"1g", 0}, {"0x10", 0},
	}
	for _, tt := range tests {
		got, err := parseSize(tt.in)
		if tt.want == 0 {
			if fault.ClassOf(err) != fault.Usage {
				t.Errorf("parseSize(%q) = %d, %v; want an error of class Usage", tt.in, got, err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", tt.in, got, err, tt.want)
		}
	}
}

func TestHumanBytes(t *testing.T) {
	tests := []struct {
		in   int64
		want string
	}{
		{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"}, {1 << 20, "1.0 MiB"},
		{304087040, "290.0 MiB"}, {1 << 40, "1.0 TiB"}, {1<<63 - 1, "8192.0 PiB"},
	}
	for _, tt := range tests {
		if got := humanBytes(tt.in); got != tt.want {
			t.Errorf("humanBytes(%d) = %q; want %q", tt.in, got, tt.want)
		}
	}
}
