package ids

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestParseUUID reads the usual form and refuses what is near it.
func TestParseUUID(t *testing.T) {
	const esp = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	tests := []struct{ name, in, want string }{
		{"lower", esp, esp}, {"upper", strings.ToUpper(esp), esp},
		{"empty", "", ""}, {"short", esp[:35], ""}, {"long", esp + "0", ""},
		{"dash moved", "c12a732-8f81f-11d2-ba4b-00a0c93ec93b", ""}, {"no digit", "g" + esp[1:], ""},
		{"braces", "{" + esp[2:] + "}", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u, err := ParseUUID(test.in)
			switch {
			case test.want == "":
				if fault.ClassOf(err) != fault.Input || !u.IsZero() {
					t.Errorf("ParseUUID(%q) = %s, %v; want an input error", test.in, u, err)
				}
			case err != nil || u.String() != test.want:
				t.Errorf("ParseUUID(%q) = %s, %v; want %s", test.in, u, err, test.want)
			}
		})
	}
}

// TestJSON writes identities as text and reads them back.
func TestJSON(t *testing.T) {
	type both struct {
		Seed Seed
		UUID UUID
	}
	in := both{Seed{1, 2}, Seed{1}.UUID("x")}
	data, err := json.Marshal(in)
	if err != nil || !strings.Contains(string(data), `"`+in.UUID.String()+`"`) {
		t.Fatalf("Marshal = %s, %v; want the UUID as text", data, err)
	}
	var out both
	if err := json.Unmarshal(data, &out); err != nil || out != in {
		t.Errorf("Unmarshal(%s) = %v, %v; want %v", data, out, err, in)
	}
	for _, seed := range []string{strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("x", 64)} {
		if err := json.Unmarshal([]byte(`{"Seed":"`+seed+`"}`), &out); fault.ClassOf(err) != fault.Input {
			t.Errorf("seed %q: %v; want an input error", seed, err)
		}
	}
}

// TestSerial checks that the number is the head of the UUID of the same name.
func TestSerial(t *testing.T) {
	if got := (Seed{}).Serial(BtrfsFSID); got != 0xeb0c16ce {
		t.Errorf("Serial = %#x; want 0xeb0c16ce", got)
	}
}
