package source_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// TestOpenDebianFlow runs through cache and lock with a program in the place of
// mmdebstrap, which counts its runs.
func TestOpenDebianFlow(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mmdebstrap", "apt-get", "dpkg")
	runs := filepath.Join(t.TempDir(), "runs")
	source.FakeMmdebstrap(t, `echo run >>`+runs+`; cat "$archive"`)
	var log bytes.Buffer
	o := source.Options{CacheDir: t.TempDir(), Epoch: time.Unix(200, 0), Log: &log, Mirrors: source.Mirrors{Main: "http://m/debian", Security: "http://s/debian-security"}}
	open := func(change func(*source.Options), wantRuns int) (*source.Source, error) {
		t.Helper()
		with := o
		change(&with)
		s, err := source.Open(t.Context(), source.Spec{Kind: source.Debian, Value: "trixie"}, with)
		if err == nil {
			t.Cleanup(func() { s.Close() })
		}
		data, _ := os.ReadFile(runs)
		if got := strings.Count(string(data), "run"); got != wantRuns {
			t.Errorf("mmdebstrap ran %d times; want %d", got, wantRuns)
		}
		return s, err
	}
	first, err := open(func(*source.Options) {}, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []source.Package{{Name: "tzdata", Version: "2025b", Architecture: "all", SHA256: strings.Repeat("c", 64)}}
	if d := cmp.Diff(want, first.Packages); d != "" {
		t.Errorf("packages (-want +got):\n%s", d)
	}
	if _, err := open(func(*source.Options) {}, 1); err != nil {
		t.Errorf("from the cache: %v", err)
	}
	if _, err := open(func(o *source.Options) { o.Refresh = true }, 2); err != nil {
		t.Errorf("refreshed: %v", err)
	}
	if _, err := open(func(o *source.Options) { o.Lock = first.Lock() }, 2); err != nil {
		t.Errorf("by the lock, from the cache: %v", err)
	}
	other := first.Lock()
	other.Packages[0].Version = "2024a"
	_, err = open(func(o *source.Options) { o.Lock = other }, 3)
	if got, want := fmt.Sprint(err), "debian:trixie: 1 packages differ from the lock:\n  tzdata all: locked 2024a, found 2025b"; got != want {
		t.Errorf("drift: %q; want %q", got, want)
	}
	if _, err := open(func(o *source.Options) { o.Lock = other }, 4); err == nil {
		t.Error("a build that drifted was kept")
	}
	if err := os.Truncate(filepath.Join(o.CacheDir, "source", source.RecipeKey(t, o)+".tar"), 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := open(func(*source.Options) {}, 5); err != nil || !strings.Contains(log.String(), "is damaged (has 5000 bytes") {
		t.Errorf("after damage: %v, log %q", err, log.String())
	}
	if err := first.Close(); err != nil {
		t.Errorf("the first source does not outlive its archive: %v", err)
	}
}
