package imaging

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// text is the statuses of a map, byte by byte.
func text(m *Map) string {
	var b strings.Builder
	for _, p := range m.parts {
		b.WriteString(strings.Repeat(string(p.Status), int(p.Length)))
	}
	return b.String()
}

// TestMapAgainstBytes compares a map with an array of statuses.
func TestMapAgainstBytes(t *testing.T) {
	const size = 24
	statuses := []Status{NonTried, NonTrimmed, NonScraped, Bad, Rescued}
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		m, want := NewMap(size), []byte(strings.Repeat("?", size))
		for range 30 {
			start := r.Int64N(size)
			length := r.Int64N(size - start + 1)
			s := statuses[r.IntN(len(statuses))]
			m.set(start, length, s)
			for i := start; i < start+length; i++ {
				want[i] = byte(s)
			}
			if got := text(m); got != string(want) {
				t.Fatalf("after %d+%d %c: %s; want %s", start, length, s, got, want)
			}
			for i, p := range m.parts {
				if p.Length <= 0 || i > 0 && (p.Status == m.parts[i-1].Status || p.Start != m.parts[i-1].end()) {
					t.Fatalf("parts %+v: part %d is empty, or not apart from the one before", m.parts, i)
				}
			}
		}
		for at := int64(0); at <= size; at++ {
			for _, s := range statuses {
				if got, ok := m.next(at, s); !same(got, ok, strings.IndexByte(string(want[at:]), byte(s)), at, want, 1) {
					t.Fatalf("%s: next(%d, %c) = %+v, %v", want, at, s, got, ok)
				}
				if got, ok := m.previous(at, s); !same(got, ok, strings.LastIndexByte(string(want[:at]), byte(s)), 0, want[:at], -1) {
					t.Fatalf("%s: previous(%d, %c) = %+v, %v", want, at, s, got, ok)
				}
			}
		}
		again, err := DecodeMap(m.Encode(), size)
		if err != nil || text(again) != string(want) || again.Position != m.Position {
			t.Fatalf("decoded: %v, %+v; want %s", err, again, want)
		}
	}
}

// same reports whether a part is the one that has the byte found behind from, and
// all its neighbours of the same status in a direction.
func same(got Part, ok bool, found int, from int64, all []byte, direction int) bool {
	if found < 0 || !ok {
		return found < 0 && !ok
	}
	first := int(from) + found
	last := first
	for i := first; i >= 0 && i < len(all) && all[i] == all[first]; i += direction {
		last = i
	}
	return got == Part{Start: int64(min(first, last)), Length: int64(max(first, last)-min(first, last)) + 1, Status: Status(all[first])}
}

func TestDecodeMap(t *testing.T) {
	tests := []struct {
		name, in string
		want     string // the map, or what the error says
		ok       bool
	}{
		{"of ddrescue", "# Mapfile. Created by GNU ddrescue version 1.27\n# Command line: ddrescue -d a b m\n0x2     ?               1\n#      pos        size  status\n0x0  0x2  +\n0x2  0x6  ?\n", "++??????", true},
		{"old, without a pass", "0x2 ?\n0 2 +\n2 6 -\n", "++------", true},
		{"decimal and octal", "0 + 1\n0 3 +\n3 05 *\n", "+++*****", true},
		{"the end is missing", "0 ? 1\n0 3 +\n", "+++?????", true},
		{"the start is missing", "0 ? 1\n3 5 /\n", "???/////", true},
		{"nothing but a position", "0 ? 1\n", "????????", true},
		{"comment behind", "0 ? 1 # here\n0 8 + # all\n", "++++++++", true},
		{"equal neighbours", "0 ? 1\n0 3 +\n3 5 +\n", "++++++++", true},
		{"another program's job", "0 F 1\n0 8 -\n", "--------", true},
		{"empty", "", "line 1: there is no position", false},
		{"comments alone", "# a\n# b\n", "line 2: there is no position", false},
		{"gap", "0 ? 1\n0 2 +\n3 5 +\n", "line 3: the part begins at 3, expected 2", false},
		{"overlap", "0 ? 1\n0 4 +\n3 5 +\n", "line 3: the part begins at 3, expected 4", false},
		{"too long by one", "0 ? 1\n0 9 +\n", "9 bytes at 0 are not within the 8", false},
		{"behind the end", "0 ? 1\n0 8 +\n8 1 +\n", "1 bytes at 8 are not within", false},
		{"first part behind the end", "0 ? 1\n9 1 +\n", "begins at 9, expected 0", false},
		{"overflow", "0 ? 1\n0 2 +\n2 0x7fffffffffffffff +\n", "are not within", false},
		{"empty part", "0 ? 1\n0 0 +\n", "0 bytes at 0 are not within", false},
		{"negative", "0 ? 1\n0 -1 +\n", `"-1" is no number`, false},
		{"no number", "0 ? 1\n0 0b1 +\n", `"0b1" is no number`, false},
		{"unknown status", "0 ? 1\n0 8 x\n", `"x" is none of ?*/-+`, false},
		{"long status", "0 ? 1\n0 8 ++\n", `"++" is none`, false},
		{"unknown position", "0 x 1\n", `"x" is none of ?*/-FG+`, false},
		{"pass 0", "0 ? 0\n", `pass "0"`, false},
		{"four fields", "0 ? 1\n0 8 + +\n", "has 4 fields", false},
		{"position of one field", "0\n", "has 1 fields", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := DecodeMap([]byte(tt.in), 8)
			if !tt.ok {
				if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
					t.Errorf("error %v; want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, text(m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeMapLimit(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts int
		ok    bool
	}{{"one below", maxParts - 1, true}, {"at", maxParts, true}, {"one above", maxParts + 1, false}} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Map{Position: Position{Status: NonTried, Pass: 1}}
			for i := range tt.parts {
				m.append(Part{Start: int64(i), Length: 1, Status: []Status{Rescued, Bad}[i%2]})
			}
			_, err := DecodeMap(m.Encode(), int64(tt.parts))
			if (err == nil) != tt.ok {
				t.Errorf("%d parts: %v", tt.parts, err)
			}
		})
	}
	long := append([]byte("0 ? 1\n"), make([]byte, maxMapFile)...)
	if _, err := DecodeMap(long, 8); err == nil || !strings.Contains(err.Error(), "expected at most") {
		t.Errorf("a file of %d bytes: %v", len(long), err)
	}
}

func FuzzDecodeMap(f *testing.F) {
	f.Add([]byte("# x\n0x2 ? 1\n0 2 +\n2 3 -\n5 3 *\n"))
	f.Add([]byte("0 ?\n3 5 /\n"))
	f.Add([]byte("# Source: bytes=4096 start=1 serial=\"a b\" wwid=x file=\"y\"\n0 ? 1\n0 4096 +\n"))
	f.Add([]byte("0 F 1\n0 0x7fffffffffffffff +\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const size = 1 << 12
		m, err := DecodeMap(data, size)
		if err != nil {
			return
		}
		if m.Size() != size {
			t.Fatalf("%q: the map is of %d bytes", data, m.Size())
		}
		again, err := DecodeMap(m.Encode(), size)
		if err != nil || text(again) != text(m) || again.Origin != m.Origin {
			t.Fatalf("%q: not the same once encoded: %v", data, err)
		}
	})
}

func TestAlign(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"aligned", "0 ? 1\n0 4 +\n4 4 -\n8 2 +\n", "++++----++"},
		{"one below", "0 ? 1\n0 3 +\n3 7 -\n", "????------"},
		{"one above", "0 ? 1\n0 5 +\n5 5 -\n", "++++????--"},
		{"two in a block", "0 ? 1\n0 5 +\n5 1 -\n6 4 +\n", "++++????++"},
		{"in the last", "0 ? 1\n0 9 +\n9 1 -\n", "++++++++??"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := DecodeMap([]byte(tt.in), 10)
			check(t, err)
			m.align(4)
			if diff := cmp.Diff(tt.want, text(m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
