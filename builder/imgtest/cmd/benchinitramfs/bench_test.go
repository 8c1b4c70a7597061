package main

import (
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		name string
		in   []float64
		want float64
	}{
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{9, 1, 5, 7}, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := median(tt.in); got != tt.want {
				t.Errorf("median(%v) = %v; want %v", tt.in, got, tt.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	one := func(name string, size int64, warm float64) *contender {
		return &contender{name: name, anywhere: name == "MODULES=most" || name == "no hostonly", size: size, cold: []float64{2}, warm: []float64{warm}, cpu: []float64{1}}
	}
	tests := []struct {
		name string
		in   []*contender
		want bool
	}{
		{"both met", []*contender{one("mkimage", 30, 0.9), one("MODULES=most", 100, 9), one("our modules", 40, 9)}, true},
		{"too large", []*contender{one("mkimage", 31, 0.9), one("no hostonly", 100, 9)}, false},
		{"too slow", []*contender{one("mkimage", 30, 1), one("no hostonly", 100, 9)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if got := report(&out, tt.in); got != tt.want || strings.Contains(out.String(), "FAIL") == tt.want {
				t.Errorf("report = %v; want %v; printed\n%s", got, tt.want, out.String())
			}
		})
	}
}
