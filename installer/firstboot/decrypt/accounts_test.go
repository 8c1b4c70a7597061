package decrypt

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePasswd(t *testing.T) {
	const text = "root:x:0:0:root:/root:/bin/sh\n" +
		"\n# a comment:x:5:5\n+server:x:6:6\n-gone:x:7:7\n:x:8:8\n" +
		"few:x:9\nbad:x:nine:9\nminus:x:-1:9\nlarge:x:4294967296:9\nnone:x:4294967295:9\nnogroup:x:9:4294967295\nbadgroup:x:9:\n" +
		"last:x:4294967294:4294967294:::\n" +
		"two:x:1:1:::\ntwo:x:2:2:::\n" +
		"end:x:3:4" // and no line's end
	want := map[string]owner{"root": {0, 0}, "last": {math.MaxUint32 - 1, math.MaxUint32 - 1}, "two": {1, 1}, "end": {3, 4}}
	if diff := cmp.Diff(want, parsePasswd(text), cmp.AllowUnexported(owner{})); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}

func TestParseGroup(t *testing.T) {
	const text = "root:x:0:\nwheel:x:10:root,bandit\n+:::\nfew:x\nbad:x:\nnone:x:4294967295:\ntwo:x:1:\ntwo:x:2:\nend:x:3"
	want := map[string]uint32{"root": 0, "wheel": 10, "two": 1, "end": 3}
	if diff := cmp.Diff(want, parseGroup(text)); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\nwheel:x:10:root\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, o := range parsePasswd(text) {
			if name == "" || o.uid == math.MaxUint32 || o.gid == math.MaxUint32 {
				t.Errorf("user %q: %v", name, o)
			}
		}
		for name, gid := range parseGroup(text) {
			if name == "" || gid == math.MaxUint32 {
				t.Errorf("group %q: %d", name, gid)
			}
		}
	})
}
