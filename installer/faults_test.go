package installer

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFaultsHaveTests checks that every fault of docs/faults.md has tests, and
// that each of them is there.
func TestFaultsHaveTests(t *testing.T) {
	text, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| (\d+) \|.*\| ([^|]*) \|$`)
	name := regexp.MustCompile("`([a-z/-]+)\\.(Test[A-Za-z0-9]+)`")
	rows := row.FindAllStringSubmatch(string(text), -1)
	if len(rows) != 25 {
		t.Errorf("%d rows; want 25", len(rows))
	}
	for _, r := range rows {
		tests := name.FindAllStringSubmatch(r[2], -1)
		if len(tests) == 0 || len(tests) != len(strings.Fields(r[2])) {
			t.Errorf("fault %s: tests %q: want names such as `installer.TestFresh`", r[1], r[2])
		}
		for _, test := range tests {
			if !hasTest(t, test[1], test[2]) {
				t.Errorf("fault %s: package %s has no %s", r[1], test[1], test[2])
			}
		}
	}
}

// hasTest reports whether a package has a test.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
