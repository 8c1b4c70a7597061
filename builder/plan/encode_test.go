package plan

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestJSON reads plans back as they were made.
func TestJSON(t *testing.T) {
	for name, want := range map[string]*Plan{
		"laptop": mustMake(t, laptop(), laptopLayout(), Options{Size: 8 << 30, Epoch: time.Unix(1e9, 0)}),
		"memory": mustMake(t, laptop(), memoryLayout(), Options{}),
	} {
		got := &Plan{}
		if err := json.Unmarshal([]byte(mustJSON(t, want)), got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// TestCanonical fills lists at any depth, and nothing else.
func TestCanonical(t *testing.T) {
	type inner struct{ List []string }
	type outer struct {
		Inner []inner
		Ptr   *inner
		None  []int
	}
	got, err := canonical(outer{Inner: []inner{{}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(got)
	if want := `{"Inner":[{"List":[]}],"Ptr":null,"None":[]}`; err != nil || string(data) != want {
		t.Errorf("canonical = %s, %v; want %s", data, err, want)
	}
}
