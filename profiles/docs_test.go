package profiles

import (
	"os"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// TestDocs wants every key to be explained and every example to be valid.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	every := strict.Values(Profile{Nix: Nix{AutoOptimiseStore: new(bool)}, Rescue: Rescue{Enable: new(bool), Network: RescueNetwork{Wired: new(bool)}}, Users: []User{{Name: "NAME"}}, Secrets: []Secret{{Name: "NAME"}}, Backup: []Backup{{Name: "NAME"}}}, nil)
	if len(every) < 30 {
		t.Fatalf("%d keys; want all of a profile", len(every))
	}
	for _, v := range every {
		if !strings.Contains(string(text), "\n| `"+v.Key+"` | ") {
			t.Errorf("docs/profiles.md does not explain %s", v.Key)
		}
	}
	blocks := strings.Split(string(text), "```toml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("docs/profiles.md has no example")
	}
	for _, block := range blocks {
		example, _, _ := strings.Cut(block, "```")
		if _, _, err := resolveText(t, example); err != nil {
			t.Errorf("%v in the example\n%s", err, example)
		}
	}
}
