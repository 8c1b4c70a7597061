package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestParseSummary(t *testing.T) {
	tests := []struct {
		name, in string
		want     float64
		wantErr  bool
	}{
		{"last line", `{"message_type":"status","stage":"fetch"}` + "\n" + `{"message_type":"summary","seconds":5.5}` + "\n", 5.5, false},
		{"none", `{"message_type":"warning"}` + "\n", 0, true},
		{"no JSON", "Built.\n", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSummary([]byte(tt.in))
			if got.Seconds != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("parseSummary = %v, %v; want %v, error %v", got.Seconds, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestParseTimes(t *testing.T) {
	tests := []struct {
		name, in string
		want     boot
		wantErr  bool
	}{
		{"three", "1.5\n4.75\n4250000", boot{1.5, 4.75, 4.25}, false},
		{"a greeting missing", "1.5\n\n4250000", boot{}, true},
		{"the greeting of another systemd", "1.5\n2.5\n4250000", boot{}, true},
		{"nothing", "", boot{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseTimes(tt.in)
			if (err != nil) != tt.wantErr || err == nil && got != tt.want {
				t.Errorf("parseTimes(%q) = %v, %v; want %v, error %v", tt.in, got, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestDefaultEntry(t *testing.T) {
	esp := fstest.MapFS{
		"loader/entries/a.conf": {Data: []byte("title A\nsort-key x-2\nlinux /l\ninitrd /i\noptions mkimage.factory\n")},
		"loader/entries/b.conf": {Data: []byte("title B\nsort-key x-1\nlinux /l\ninitrd /i\noptions root=PARTUUID=1 rw\n")},
	}
	got, err := defaultEntry(esp)
	if want := "root=PARTUUID=1 rw"; err != nil || got.Options != want {
		t.Errorf("options = %q, %v; want %q", got.Options, err, want)
	}
	if _, err := defaultEntry(fstest.MapFS{}); err == nil {
		t.Error("no entries: no error")
	}
}

func TestReportBoots(t *testing.T) {
	one := func(seconds ...float64) *contender {
		c := &contender{name: "one"}
		for _, s := range seconds {
			c.boots = append(c.boots, boot{system: s})
		}
		return c
	}
	tests := []struct {
		name string
		in   []*contender
		want bool
	}{
		{"at the limit", []*contender{one(7, 9, 1), one(10, 10, 10)}, true},
		{"too slow", []*contender{one(7.1), one(10)}, false},
		{"too slow for the first of two", []*contender{one(7), one(9), one(10)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if got := reportBoots(&out, tt.in); got != tt.want || strings.Contains(out.String(), "FAIL") == tt.want {
				t.Errorf("reportBoots = %v; want %v; printed\n%s", got, tt.want, out.String())
			}
		})
	}
}

func TestDecided(t *testing.T) {
	tests := []struct {
		name, console string
		want          float64
		wantErr       bool
	}{
		{"normal boot", "[    5.6] mkimage-init: +5.56s resume not needed, decided in 12.5ms", 0.0125, false},
		{"resume", "mkimage-init: +5.56s resume from swapfile @swap/swapfile offset 1 on /dev/vda2, decided in 100.0ms", 0.1, false},
		{"not asked", "mkimage-init: +5.56s mounted 3 file systems", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decided(decision.FindStringSubmatch(tt.console))
			if got != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("decided = %v, %v; want %v, error %v", got, err, tt.want, tt.wantErr)
			}
		})
	}
}
