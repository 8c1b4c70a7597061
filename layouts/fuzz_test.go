package layouts

import (
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// FuzzCheck reads layouts that may be anything. One that is accepted must hold
// what the rest of the program builds on without looking again.
func FuzzCheck(f *testing.F) {
	names, err := fs.Glob(builtin, "builtin/*.toml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no built-in layouts: %v", err)
	}
	for _, name := range names {
		data, err := builtin.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add([]byte(strings.ReplaceAll(string(data), "@", "@/")))
		f.Add([]byte(strings.ReplaceAll(string(data), `"/`, `"`)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		library := strict.Library{Kind: "layout", Builtin: fstest.MapFS{"a.toml": {Data: data}}}
		var l Layout
		if _, err := library.Resolve("a", nil, &l, func(found *strict.Findings) { check(&l, found) }); err != nil {
			return
		}
		at := map[string]bool{l.ESP.Mount: true}
		for _, s := range l.Subvolumes {
			if s.Mount == "" {
				continue
			}
			if at[s.Mount] || path.Clean(s.Mount) != s.Mount || !path.IsAbs(s.Mount) || strings.ContainsAny(s.Mount, " \t\n\\,") {
				t.Fatalf("%s is mounted at %q", s.Name, s.Mount)
			}
			at[s.Mount] = true
		}
		if l.ESP.Only {
			if len(l.Subvolumes) > 0 || l.Root.Label != "" || l.ESP.Size < 0 || l.ESP.Size%align != 0 {
				t.Fatalf("accepted: %+v", l)
			}
			return
		}
		if !at["/"] || l.ESP.Size <= 0 || l.ESP.Size%align != 0 {
			t.Fatalf("accepted: %+v", l)
		}
		if l.Swapfile.Subvolume != "" && !l.subvolume(l.Swapfile.Subvolume).NoDataCow {
			t.Fatalf("a swapfile that is copied on write: %+v", l)
		}
		for _, name := range l.Factory.Subvolumes {
			if l.subvolume(name).Mount == "" {
				t.Fatalf("a snapshot of %s, which is not mounted", name)
			}
		}
	})
}
