package rehearsal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lost is a small home.
const lost = `"fox" d 0700 1000:1000 1.000000000 - - - - -
"fox/a" f 0644 1000:1000 2.000000000 3 aa - - user.x=00
"fox/b" f 0644 1000:1000 2.000000000 3 aa - "fox/a" user.x=00
"fox/c d" l 0777 1000:1000 3.000000000 - - "to \"x\" y" - -
"fox/s" f 4755 0:0 4.000000000 5 bb - - -
"fox/p" p 0620 1000:1000 5.000000000 - - - - -
`

func TestCompareHomes(t *testing.T) {
	edit := func(old, text string) string { return strings.Replace(lost, old, text, 1) }
	const added = "\"fox/.bash_history\" f 0600 1000:1000 9.000000000 1 cc - - -\n"
	tests := []struct {
		name, got string
		held      bool
		missing   int
		differing int
		newCount  int
		first     string
	}{
		{"the same", lost, true, 0, 0, 0, ""},
		{"another order", added + lost, true, 0, 0, 1, ""},
		{"one more, and its folder's time", edit("1.000000000", "9.000000001") + added, true, 0, 0, 1, ""},
		{"a folder's time alone", edit("1.000000000", "9.000000001"), false, 0, 1, 0, "time 9.000000001, expected 1.000000000"},
		{"a file's time, with one more beside it", edit("4.000000000", "4.000000001") + added, false, 0, 1, 1, "time 4.000000001, expected 4.000000000"},
		{"mode", edit("4755", "0755"), false, 0, 1, 0, "mode 0755, expected 4755"},
		{"owner", edit("0:0", "0:1"), false, 0, 1, 0, "owner 0:1, expected 0:0"},
		{"size and content", edit("5 bb", "6 bc"), false, 0, 1, 0, "size 6, expected 5; content bc, expected bb"},
		{"target", edit(`"to \"x\" y"`, `"to"`), false, 0, 1, 0, `target "to", expected "to \"x\" y"`},
		{"no hard link", edit(`- "fox/a"`, `- -`), false, 0, 1, 0, `name of -, expected "fox/a"`},
		{"attributes", edit(`user.x=00`, `-`), false, 0, 1, 0, "attributes -, expected user.x=00"},
		{"another kind", edit(`"fox/p" p`, `"fox/p" s`), false, 0, 1, 0, "kind s, expected p"},
		{"missing", edit("\"fox/p\" p 0620 1000:1000 5.000000000 - - - - -\n", ""), false, 1, 0, 0, "is missing"},
		{"nothing", "", false, 6, 0, 0, "is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := compareHomes("/home", lost, tt.got)
			if err != nil {
				t.Fatal(err)
			}
			if c.Held() != tt.held || c.Missing != tt.missing || c.Differing != tt.differing || c.NewCount != tt.newCount {
				t.Errorf("held %v, %d missing, %d differ, %d new; want %v, %d, %d, %d", c.Held(), c.Missing, c.Differing, c.NewCount, tt.held, tt.missing, tt.differing, tt.newCount)
			}
			if first := (Difference{}); len(c.First) > 0 {
				if first = c.First[0]; first.What != tt.first {
					t.Errorf("first %q; want %q", first.What, tt.first)
				}
			} else if tt.first != "" {
				t.Errorf("no difference; want %q", tt.first)
			}
			if same := c.Lost == c.Recovered; same != tt.held {
				t.Errorf("hashes are equal: %v; want %v", same, tt.held)
			}
		})
	}
}

// What the snapshot of a restored home has is not what the running system made.
func TestCompareHomesSnapshot(t *testing.T) {
	const had = "\"fox\" d 0755 1000:1000 1.000000000 - - - - -\n"
	const snapshot = "\".snapshots\" d 0700 0:0 2.000000000 - - - - -\n\".snapshots/restored-1\" d 0755 0:0 2.000000000 - - - - -\n"
	const made = "\".snapshots.txt\" f 0600 0:0 2.000000000 0 aa - - -\n"
	c, err := compareHomes("/home", had, had+snapshot+made)
	if err != nil || !c.Held() || c.Snapshots != 2 || c.NewCount != 1 || c.New[0] != `".snapshots.txt"` {
		t.Errorf("%+v, %v; want two entries in snapshots and one that is new", c, err)
	}
}

func TestCompareCounts(t *testing.T) {
	c, err := compareHomes("/home", lost, lost)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Kinds{Files: 3, Folders: 1, Symlinks: 1, Others: 1, HardLinks: 1, Attributes: 2, Owners: 2, Special: 1}, c.Kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if c.Bytes != 8 || c.Entries != 6 {
		t.Errorf("%d bytes, %d entries; want 8, 6", c.Bytes, c.Entries)
	}
	if empty, err := compareHomes("/home", "", ""); err != nil || empty.Held() {
		t.Errorf("a home of nothing: held %v, %v; nothing was proved", empty.Held(), err)
	}
}

// TestCompareShows: no more differences are named than a page can bear.
func TestCompareShows(t *testing.T) {
	for _, n := range []int{maxShown - 1, maxShown, maxShown + 1} {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.Replace("\"x\" f 0644 0:0 1.0 0 - - - -\n", "x", strings.Repeat("x", i+1), 1))
		}
		c, err := compareHomes("/home", b.String(), lost)
		if err != nil {
			t.Fatal(err)
		}
		if c.Missing != n || len(c.First) != min(n, maxShown) {
			t.Errorf("%d missing, %d named; want %d, %d", c.Missing, len(c.First), n, min(n, maxShown))
		}
		if c, err = compareHomes("/home", lost, b.String()); err != nil || c.NewCount != n || len(c.New) != min(n, maxShown) {
			t.Errorf("%d new, %d named, %v; want %d, %d", c.NewCount, len(c.New), err, n, min(n, maxShown))
		}
	}
}

func TestParseListNot(t *testing.T) {
	const whole = `"a" f 0644 0:0 1.0 0 - - - -`
	tests := []struct{ name, text, want string }{
		{"empty line", "\n", "line 1: 0 fields, expected 10"},
		{"one field less", strings.TrimSuffix(whole, " -"), "9 fields, expected 10"},
		{"nothing behind the last space", strings.TrimSuffix(whole, "-"), "9 fields, expected 10"},
		{"one more", whole + " -", "more than 10 fields"},
		{"in the second line", whole + "\nx", "line 2: 1 fields, expected 10"},
		{"quotes that do not end", `"a f 0644`, "path: quotes that do not end"},
		{"no quotes", strings.Replace(whole, `"a"`, "a", 1), "path a, mode 0644"},
		{"no mode", strings.Replace(whole, "0644", "644", 1), "mode 644"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseList(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}

// FuzzCompare: a list comes out of a machine.
func FuzzCompare(f *testing.F) {
	for _, seed := range []string{lost, "", "\n", `"a" f 0644 0:0 1.0 0 - - - -`, `"a f`, "\"\\xff\\x00/..\" d 0000 : . - - - - -\n", strings.Repeat(lost, 2)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := compareHomes("/home", lost, text)
		if err != nil {
			return
		}
		if c.Held() != (c.Lost == c.Recovered) && c.NewCount == 0 {
			t.Errorf("held %v, and the hashes are equal: %v", c.Held(), c.Lost == c.Recovered)
		}
		if _, err := compareHomes("/home", text, text); err != nil {
			t.Errorf("with itself: %v", err)
		}
	})
}
