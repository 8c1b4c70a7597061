package plan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestDecode reads plans back as they were made.
func TestDecode(t *testing.T) {
	for name, want := range map[string]*Plan{
		"laptop": mustMake(t, laptop(), laptopLayout(), Options{Size: 8 << 30, Epoch: time.Unix(1e9, 0)}),
		"memory": mustMake(t, laptop(), memoryLayout(), Options{}),
	} {
		got, err := Decode([]byte(mustJSON(t, want)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// TestDecodeRefuses changes a plan in one place.
func TestDecodeRefuses(t *testing.T) {
	good := mustJSON(t, mustMake(t, laptop(), laptopLayout(), Options{}))
	tests := []struct{ name, old, new, want string }{
		{"version", `"version": 1`, `"version": 2`, "plan of version 2, expected 1"},
		{"no version", `"version": 1,`, ``, "plan of version 0, expected 1"},
		{"unknown field", `"sector_size"`, `"sectors"`, `unknown field "sectors"`},
		{"unknown field of a profile", `"hostname"`, `"host_name"`, `unknown field "host_name"`},
		{"bad UUID", `"guid": "`, `"guid": "x`, "expected 8-4-4-4-12"},
		{"bad seed", `"seed": "`, `"seed": "0`, "expected 64 hexadecimal digits"},
		{"size as text", `"size": 1073741824`, `"size": "1GiB"`, "cannot unmarshal"},
		{"other option", `"umask=0077"`, `"umask=0000"`, `got "\"umask=0000\"", but its profile, layout and seed give "\"umask=0077\""`},
		{"other identity", `"sort_key": "mkimage-1"`, `"sort_key": "x"`, "its profile, layout and seed give"},
		{"contradiction", `"policy": "hibernate"`, `"policy": "x"`, "swap.policy"},
		{"epoch", `"2025-01-01T00:00:00Z"`, `"1970-01-01T00:00:00Z"`, "expected a year from 1980"},
		{"mount dropped", `"mounts": [`, `"mounts": [], "mounts2": [`, "unknown field"},
		{"end cut", "\n}\n", "\n", "unexpected end"},
		{"second value", "\n}\n", "\n}\n{}", "after top-level value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := strings.Replace(good, test.old, test.new, 1)
			if bad == good {
				t.Fatalf("the plan lacks %s", test.old)
			}
			_, err := Decode([]byte(bad))
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Decode: %v; want an input error with %q", err, test.want)
			}
		})
	}
	spaces := func(n int) []byte { return append([]byte(good), bytes.Repeat([]byte(" "), n-len(good))...) }
	if _, err := Decode(spaces(maxJSON)); err != nil {
		t.Errorf("Decode of %d bytes: %v", maxJSON, err)
	}
	if _, err := Decode(spaces(maxJSON + 1)); fault.ClassOf(err) != fault.Input {
		t.Errorf("Decode of %d bytes: %v; want an input error", maxJSON+1, err)
	}
}

// FuzzDecode feeds bytes to the decoder: what it takes is canonical already,
// up to white space.
func FuzzDecode(f *testing.F) {
	for _, p := range []*Plan{mustMake(f, laptop(), laptopLayout(), Options{}), mustMake(f, laptop(), memoryLayout(), Options{Size: 4 << 30})} {
		f.Add([]byte(mustJSON(f, p)))
	}
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"profile":null,"layout":{"subvolumes":[{"mount":"/"}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if err != nil {
			if fault.ClassOf(err) != fault.Input {
				t.Fatalf("Decode: %v of class %d; want an input error", err, fault.ClassOf(err))
			}
			return
		}
		again, err := Decode([]byte(mustJSON(t, p)))
		if err != nil {
			t.Fatalf("what was taken is refused when written again: %v", err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Fatalf("-first +second:\n%s", diff)
		}
		InitConfig(p)
		if err := Text(new(bytes.Buffer), p, Look{}); err != nil {
			t.Fatalf("Text: %v", err)
		}
		decoded++
	})
	if decoded == 0 {
		f.Error("no seed reached the last line")
	}
}

var decoded int // inputs of FuzzDecode that are plans

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
