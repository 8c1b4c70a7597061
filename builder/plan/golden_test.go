package plan

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func text(t *testing.T, p *Plan, look Look) string {
	t.Helper()
	var b bytes.Buffer
	if err := Text(&b, p, look); err != nil {
		t.Fatalf("Text: %v", err)
	}
	return b.String()
}

// golden compares with a file of testdata. A change of such a file is a change
// of what users get, and the commit says why.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test ./builder/plan -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got:\n%s", file, diff)
	}
}

// TestGolden plans every built-in profile.
func TestGolden(t *testing.T) {
	names := profiles.Load().Names()
	if len(names) == 0 {
		t.Fatal("no built-in profiles")
	}
	fsids := map[string]string{}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			p := builtin(t, name)
			golden(t, name+".json", mustJSON(t, p))
			golden(t, name+".txt", text(t, p, Look{Width: 80}))
			fsid := p.Disk.Partitions[len(p.Disk.Partitions)-1].FSID
			if fsids[fsid] != "" {
				t.Errorf("fsid %s is of profile %s too", fsid, fsids[fsid])
			}
			fsids[fsid] = name
		})
	}
}

// builtin plans a built-in profile, with its payload where it is a medium.
func builtin(t *testing.T, name string) *Plan {
	t.Helper()
	resolve := func(name string) (profiles.Profile, layouts.Layout) {
		profile, _, err := profiles.Load().Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		layout, _, err := layouts.Load().Resolve(profile.Layout, nil)
		if err != nil {
			t.Fatal(err)
		}
		return profile, layout
	}
	profile, layout := resolve(name)
	if !profile.IsMedium() {
		return mustMake(t, profile, layout, Options{})
	}
	payload, below := resolve(profile.Payload)
	p, err := MakeMedium(profile, layout, payload, below, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestLayouts plans every built-in layout, those too that no profile uses.
func TestLayouts(t *testing.T) {
	for _, name := range layouts.Load().Names() {
		layout, _, err := layouts.Load().Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if layout.ESP.Only {
			continue // of a medium, which TestGolden has
		}
		profile := laptop()
		profile.Layout, profile.Swap.Policy = name, SwapNone
		p := mustMake(t, profile, layout, Options{Seed: &ids.Seed{}, Size: 16 << 30})
		golden(t, "layout-"+name+".txt", text(t, p, Look{Width: 80, ASCII: true}))
	}
}

// TestText holds the width, whatever it is.
func TestText(t *testing.T) {
	p := mustMake(t, laptop(), memoryLayout(), Options{Size: 4 << 30})
	for _, width := range []int{0, MinWidth - 1, MinWidth, MinWidth + 1, 80, 133, 300} {
		for _, ascii := range []bool{false, true} {
			out := text(t, p, Look{Width: width, ASCII: ascii})
			for line := range strings.Lines(out) {
				line = strings.TrimSuffix(line, "\n")
				if n := utf8.RuneCountInString(line); n > max(width, MinWidth) && len(strings.Fields(line)) > 4 {
					t.Errorf("width %d: %d columns in %q", width, n, line)
				}
				if strings.HasSuffix(line, " ") {
					t.Errorf("width %d: space at the end of %q", width, line)
				}
			}
			if got := strings.ContainsAny(out, "┌│─"); got == ascii {
				t.Errorf("width %d: box characters: %v; want %v", width, got, !ascii)
			}
		}
	}
	evil := laptop()
	evil.Description = "a\x1b[31mb\u009bc"
	if out := text(t, mustMake(t, evil, laptopLayout(), Options{}), Look{}); strings.ContainsAny(out, "\x1b\u009b") {
		t.Error("a description steers the terminal")
	}
}

// TestPicture draws partitions in proportion, where their texts allow.
func TestPicture(t *testing.T) {
	p := mustMake(t, laptop(), laptopLayout(), Options{Size: 4<<30 + 2<<20})
	out := text(t, p, Look{Width: 84})
	for _, want := range []string{
		"  ┌" + strings.Repeat("─", 19) + "┬" + strings.Repeat("─", 60) + "┐\n",
		"  │ esp ESP           │ root nixos" + strings.Repeat(" ", 49) + "│\n",
		"  │ vfat              │ btrfs" + strings.Repeat(" ", 54) + "│\n",
		"  │ 1 GiB             │ 3 GiB" + strings.Repeat(" ", 54) + "│\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
	for _, test := range []struct {
		in      string
		columns int
		want    string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab~"}, {"äöü", 3, "äöü"}} {
		if got := fit(test.in, test.columns); got != test.want {
			t.Errorf("fit(%q, %d) = %q; want %q", test.in, test.columns, got, test.want)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

// TestTextError hands on the error of the writer.
func TestTextError(t *testing.T) {
	if err := Text(failing{}, mustMake(t, laptop(), laptopLayout(), Options{}), Look{}); err != os.ErrClosed {
		t.Errorf("Text to a writer that fails: %v", err)
	}
}
