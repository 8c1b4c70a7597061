package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder"
)

// TestLineMeter replays reports at given times and compares the lines.
func TestLineMeter(t *testing.T) {
	const mib = 1 << 20
	type at struct {
		sec         float64
		stage       builder.Stage
		done, total int64
	}
	tests := []struct {
		name    string
		reports []at
		want    []string
	}{
		{"short run: the last line alone", []at{{0, "write", 0, 10 * mib}, {0.5, "write", 5 * mib, 10 * mib}, {1, "write", 10 * mib, 10 * mib}},
			[]string{"mkimage: write: 10.0 MiB in 1.0 s"}},
		{"a line every three seconds", []at{
			{0, "write", 0, 100 * mib}, {2.9, "write", 29 * mib, 100 * mib}, {3, "write", 30 * mib, 100 * mib},
			{5.9, "write", 59 * mib, 100 * mib}, {6, "write", 60 * mib, 100 * mib}, {10, "write", 100 * mib, 100 * mib}},
			[]string{
				"mkimage: write: 30.0 MiB of 100.0 MiB, 30%, 10.0 MiB/s, 7 s left",
				"mkimage: write: 60.0 MiB of 100.0 MiB, 60%, 10.0 MiB/s, 4 s left",
				"mkimage: write: 100.0 MiB in 10.0 s"}},
		{"a stage that is cut off shows how far it came", []at{{0, "write", 0, 100 * mib}, {1, "write", 10 * mib, 100 * mib}},
			[]string{"mkimage: write: 10.0 MiB of 100.0 MiB, 10%, 10.0 MiB/s, 9 s left"}},
		{"stages without a size", []at{{0, "scan", 0, 0}, {2, "write", 0, mib}, {3, "write", mib, mib}},
			[]string{"mkimage: scan: done in 2.0 s", "mkimage: write: 1.0 MiB in 1.0 s"}},
		{"nothing reported", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			var clock time.Time
			m := &lineMeter{every: plainEvery, now: func() time.Time { return clock }, print: func(r report) { got = append(got, r.plain()) }}
			for _, r := range tt.reports {
				clock = time.Time{}.Add(time.Duration(r.sec * float64(time.Second)))
				m.Report(r.stage, r.done, r.total)
			}
			m.end()
			m.end()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJSONMeter(t *testing.T) {
	var out bytes.Buffer
	m := newMeter("json", &out)
	m.Report(builder.StageWrite, 0, 10)
	m.Report(builder.StageWrite, 10, 10)
	m.end()
	want := `{"message_type":"status","stage":"write","bytes_done":0,"bytes_total":10,"seconds_elapsed":0}` + "\n" +
		`{"message_type":"status","stage":"write","bytes_done":10,"bytes_total":10,"seconds_elapsed":`
	if got := out.String(); !strings.HasPrefix(got, want) {
		t.Errorf("lines %s; want %s", got, want)
	}
}

// TestBarMeter draws a whole bar and an unfinished one: neither may hang.
func TestBarMeter(t *testing.T) {
	var out bytes.Buffer
	m := newMeter("bar", &out)
	m.Report(builder.StageScan, 0, 0)
	m.Report(builder.StageWrite, 5, 10)
	m.Report(builder.StageWrite, 10, 10)
	m.Report(builder.StageVerify, 1, 10)
	m.end()
	m.end()
	for _, stage := range []builder.Stage{builder.StageWrite, builder.StageVerify} {
		if !strings.Contains(out.String(), string(stage)) {
			t.Errorf("no bar for %q in %q", stage, out.String())
		}
	}
}

func TestAutoMode(t *testing.T) {
	tests := []struct {
		json, quiet, terminal bool
		want                  string
	}{
		{false, false, true, "bar"}, {false, false, false, "plain"}, {true, false, true, "none"}, {false, true, true, "none"},
	}
	for _, tt := range tests {
		if got := autoMode(tt.json, tt.quiet, tt.terminal); got != tt.want {
			t.Errorf("autoMode(%v, %v, %v) = %q; want %q", tt.json, tt.quiet, tt.terminal, got, tt.want)
		}
	}
}
