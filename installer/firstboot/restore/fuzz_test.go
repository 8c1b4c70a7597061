package restore

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

func FuzzParsePin(f *testing.F) {
	id := strings.Repeat("ab", 32)
	f.Add([]byte(`{"version":1,"snapshot":"` + id + `","phase":"placing","staging":"` + stagingPrefix + id[:8] + `","staged":[258]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePin(text)
		if err == nil && (filepath.Base(p.Staging) != p.Staging || p.Staging == ".." || p.short() == "") {
			t.Errorf("staging directory %q", p.Staging)
		}
	})
}

func FuzzKindOf(f *testing.F) {
	f.Add([]byte("XFSB"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if kind, why := kindOf(head); (kind.name == "") == (why == "") {
			t.Errorf("%q, %q", kind.name, why)
		}
		whereMounted(mountinfo.Parse(string(head)), device{}, "/mnt")
	})
}
