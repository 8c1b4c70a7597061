package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSpreadOf(t *testing.T) {
	tests := []struct {
		name string
		in   []float64
		want spread
	}{
		{"one", []float64{3}, spread{3, 3, 3}},
		{"odd", []float64{9, 1, 2}, spread{1, 2, 9}},
		{"even", []float64{4, 1, 2, 9}, spread{1, 3, 9}},
	}
	for _, tt := range tests {
		if got := spreadOf(tt.in); got != tt.want {
			t.Errorf("%s: spreadOf = %v; want %v", tt.name, got, tt.want)
		}
	}
}

func TestParseBusy(t *testing.T) {
	tests := []struct {
		name, in string
		want     time.Duration
	}{
		// user nice system idle iowait irq softirq steal guest guest_nice
		{"line", "cpu  100 10 50 9999 8888 5 4 1 70 60\ncpu0 1 1 1 1\n", 1700 * time.Millisecond},
		{"empty", "", 0},
	}
	for _, tt := range tests {
		if got := parseBusy(tt.in); got != tt.want {
			t.Errorf("%s: parseBusy = %v; want %v", tt.name, got, tt.want)
		}
	}
}

func TestTargets(t *testing.T) {
	tests := []struct {
		name string
		got  float64
		met  bool
	}{{"below", 0.54, true}, {"equal", 0.55, true}, {"above", 0.56, false}}
	for _, tt := range tests {
		var out strings.Builder
		ok := printTargets(&out, []target{{name: "x", got: tt.got, limit: 0.55}, {name: "y", got: 0, limit: 1}})
		if ok != tt.met || strings.Contains(out.String(), "FAIL") == tt.met {
			t.Errorf("%s: met %v, printed:\n%s", tt.name, ok, out.String())
		}
	}
}

func TestDisturbed(t *testing.T) {
	quiet := result{"quiet", []sample{{wall: 4 * time.Second, cpu: 3 * time.Second, busy: 4 * time.Second}}}
	busy := result{"busy", []sample{{wall: 4 * time.Second, cpu: 3 * time.Second, busy: 4*time.Second + 1}}}
	if got := disturbed([]result{quiet, busy}); len(got) != 1 || got[0] != "busy" {
		t.Errorf("disturbed = %q; want only the busy one", got)
	}
}

// TestContender measures a process whose time and output are known.
func TestContender(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	scrap := filepath.Join(t.TempDir(), "scrap")
	c := contender{name: "c", output: out, scrap: scrap, steps: []step{
		{argv: []string{"sh", "-c", `test -d "$1" && head -c 100000 /dev/zero > "$2" && test "$X" = y`, "sh", scrap, out}, env: []string{"X=y"}},
		syncFile(out),
	}}
	s, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.length != 100_000 || s.allocated < 100_000 || s.wall <= 0 || s.rss < 1<<20 {
		t.Errorf("sample %+v: want a length of 100000, all of it allocated, time and memory", s)
	}
	for _, p := range []string{out, scrap} {
		if _, err := os.Stat(p); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", p, err)
		}
	}
	c.steps = []step{{argv: []string{"sh", "-c", "echo why >&2; exit 3"}}}
	if _, err := c.run(t.Context()); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("a failing step gave %v; want its message", err)
	}
}

func TestSmallArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tar")
	if err := smallArchive(path, 2500); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, dirs := map[string]bool{}, map[string]bool{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			dirs[strings.TrimSuffix(h.Name, "/")] = true
			continue
		}
		files[h.Name] = true
		if !dirs[filepath.Dir(h.Name)] || h.Size > 2047 {
			t.Errorf("%s: %d bytes, or its directory comes later", h.Name, h.Size)
		}
	}
	if len(files) != 2500 || len(dirs) != 3 {
		t.Errorf("%d files in %d directories; want 2500 in 3", len(files), len(dirs))
	}
}

func TestRunRefuses(t *testing.T) {
	tests := [][]string{{"-parts", "no"}, {"-rounds", "0"}, {"-files", "x"}, {"-files", "0"}, {"-no-such-flag"}}
	for _, args := range tests {
		var out, messages strings.Builder
		if got := run(args, &out, &messages); got != 2 || messages.Len() == 0 || out.Len() > 0 {
			t.Errorf("run(%q) = %d, %q; want 2 and a message", args, got, messages.String())
		}
	}
}
