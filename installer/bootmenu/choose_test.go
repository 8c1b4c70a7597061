package bootmenu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/durable/cut"
)

// TestChooseCut cuts the choice after every write: the menu starts what it
// started, or what was chosen.
func TestChooseCut(t *testing.T) {
	const old = "# of the owner\ntimeout 3\ndefault mkimage-fox.conf\nconsole-mode keep\n"
	start := func() *cut.FS {
		f := diskOf(esp("6.1", "fox"))
		f.Put(confFile, old, 0o644, 0)
		return f
	}
	want := strings.Replace(old, "mkimage-fox.conf", "mkimage-fox-factory.conf", 1)
	is := func(texts ...string) func(f *cut.FS) error {
		return func(f *cut.FS) error {
			text, _ := f.Text(confFile)
			for _, t := range texts {
				if text == t {
					return nil
				}
			}
			return fmt.Errorf("loader.conf: %q", text)
		}
	}
	run := cut.Run{
		Start: start(), Do: func(f *cut.FS) error { return Choose(f, "mkimage-fox-factory.conf") },
		Check: is(old, want), Done: is(want),
	}
	states, err := run.Explore()
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d states", states)
}

func TestWithDefault(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "default x.conf\n",
		"timeout 3":                         "timeout 3\ndefault x.conf\n",
		"default\ta.conf\ntimeout 3\n":      "default x.conf\ntimeout 3\n",
		"default a\neditor no\ndefault b\n": "default x.conf\neditor no\n",
		"#default a\n":                      "#default a\ndefault x.conf\n",
		"defaults a\n":                      "defaults a\ndefault x.conf\n",
		"timeout 3\r\ndefault a\r\n":        "timeout 3\r\ndefault x.conf\n",
	} {
		if got := string(withDefault([]byte(in), "x.conf")); got != want {
			t.Errorf("withDefault(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestChooseRefused(t *testing.T) {
	for _, tt := range []struct {
		name, entry string
		change      func(f *cut.FS)
		class       fault.Class
		want        string
	}{
		{"no entry", "mkimage-hare.conf", nil, fault.Usage, "the menu has none of this name"},
		{"no name", "../loader.conf", nil, fault.Usage, `entry "../loader.conf"`},
		{"a pattern", "mkimage-*.conf", nil, fault.Usage, `entry "mkimage-*.conf"`},
		{"damaged", "mkimage-fox.conf", func(f *cut.FS) { f.Put(entriesDir+"/mkimage-fox.conf", "linux", 0o644, 0) }, fault.Target, "entry mkimage-fox.conf: "},
		{"no kernel", "mkimage-fox.conf", func(f *cut.FS) {
			if err := f.Remove("/mkimage/6.1/linux"); err != nil {
				panic(err)
			}
		}, fault.Target, "/mkimage/6.1/linux"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := diskOf(esp("6.1", "fox"))
			if tt.change != nil {
				tt.change(f)
			}
			before, _ := f.Text(confFile)
			err := Choose(f, tt.entry)
			if err == nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, class %v; want %q, class %v", err, fault.ClassOf(err), tt.want, tt.class)
			}
			if after, _ := f.Text(confFile); after != before {
				t.Errorf("loader.conf is %q, was %q", after, before)
			}
		})
	}
}
