package strict

import (
	"testing"
	"testing/fstest"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestSet resolves documents of a type: what is found wrong is an error, what is
// right is finished.
func TestSet(t *testing.T) {
	embedded := fstest.MapFS{"builtin/a.toml": {Data: []byte("text = 'built in'")}, "builtin/bad.toml": {Data: []byte("text = 'wrong'")}, "b.toml": {}}
	dir := folder(t, map[string]string{"a": "extends = 'builtin:a'\nflag = true"})
	check := func(s *sample, f *Findings) {
		if s.Text == "wrong" {
			f.Add("text", "is wrong")
		}
	}
	finished := ""
	set := NewSet("thing", embedded, check, func(s *sample, name string, o Origins) { finished = name + " at " + o.Of("text").String() }, dir)

	got, origins, err := set.Resolve("builtin:a", nil)
	if err != nil || got.Text != "built in" || got.Flag || origins.Of("text").Line != 1 || finished != "a at builtin:a:1:1" {
		t.Errorf("built in: %+v, %v, %v; finished %s", got, origins, err, finished)
	}
	if got, _, err = set.Resolve("a", nil); err != nil || got.Text != "built in" || !got.Flag {
		t.Errorf("of a directory: %+v, %v", got, err)
	}
	finished = ""
	got, origins, err = set.Resolve("bad", []Setting{{Key: "flag", Value: "true"}})
	if fault.ClassOf(err) != fault.Config || err.Error() != "builtin:bad:1:1: text: is wrong" || got.Text != "" || got.Flag || origins != nil || finished != "" {
		t.Errorf("wrong: %+v, %v, %v; finished %q", got, origins, err, finished)
	}
	if names := set.Names(); len(names) != 2 || !set.Has("bad") || set.Has("b") {
		t.Errorf("names are %q", names)
	}
}
