package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/ids"
)

// TestAdopt wants nothing to be left of the identities that a plan made up.
func TestAdopt(t *testing.T) {
	p := builtin(t, "bandit-full")
	before, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	id := Identity{Disk: ids.UUID{1}, ESP: ids.UUID{2}, Root: ids.UUID{3}, ESPSerial: "1234-ABCD", BtrfsFSID: ids.UUID{4}.String(), SectorSize: 4096}
	q := Adopt(p, id)
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range p.Disk.Partitions {
		for _, old := range []string{part.PARTUUID.String(), part.FSID, p.Disk.GUID.String()} {
			if strings.Contains(string(text), old) {
				t.Errorf("%s of partition %s is left", old, part.Role)
			}
		}
	}
	if got := strings.Count(string(text), ids.UUID{3}.String()); got < len(p.Entries)+2 {
		t.Errorf("the root's PARTUUID is there %d times", got)
	}
	if after, err := json.Marshal(p); err != nil || string(after) != string(before) {
		t.Errorf("the plan was changed: %v", err)
	}
}
