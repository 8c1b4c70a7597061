package profiles

import (
	"testing"

	"github.com/6FaNcY9/mkimage/layouts"
)

func TestBuiltin(t *testing.T) {
	set := Load()
	for _, name := range set.Names() {
		p, _, err := set.Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := layouts.Load().Resolve(p.Layout, nil); err != nil {
			t.Error(err)
		}
		t.Logf("%+v", p)
	}
}
