package repository

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := []struct {
		name string
		in   []string
		want []string
	}{
		{"lines", []string{"a\nb\n"}, []string{"a", "b"}},
		{"pieces", []string{"a", "b", "\nc", "\n"}, []string{"ab", "c"}},
		{"without an end", []string{"a\nb"}, []string{"a"}},
		{"empty", []string{"\n\n"}, []string{"", ""}},
		{"longest", []string{long, "\n", "a\n"}, []string{long, "a"}},
		{"too long", []string{long + "x\na\n"}, []string{"a"}},
		{"too long in pieces", []string{long, "x", "more", "\na\n"}, []string{"a"}},
		{"much too long", []string{long, long, long + "y", "z\na\n"}, []string{"a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			w := &lineWriter{call: func(text []byte) { got = append(got, string(text)) }}
			for _, text := range tt.in {
				if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
					t.Fatalf("Write: %d, %v", n, err)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseLine(t *testing.T) {
	tests := []struct {
		in   string
		kind string
		ok   bool
	}{
		{`{"message_type":"status","percent_done":0.5,"total_bytes":9}`, "status", true},
		{`{"message_type":"error","error":{"message":"m"},"item":"/a"}`, "error", true},
		{`{"message_type":"summary","num_errors":"1"}`, "", false},
		{`{"message_type":""}`, "", false},
		{`["message_type"]`, "", false},
		{`repository opened`, "", false},
		{`{"message_type":"status"`, "", false},
		{``, "", false},
	}
	for _, tt := range tests {
		if l, ok := parseLine([]byte(tt.in)); ok != tt.ok || l.MessageType != tt.kind {
			t.Errorf("parseLine(%s): %q, %t; expected %q, %t", tt.in, l.MessageType, ok, tt.kind, tt.ok)
		}
	}
}

func TestCodeOf(t *testing.T) {
	tests := map[string]firstboot.Code{
		"write /home/a: no space left on device":                                  firstboot.CodeSpace,
		"write /home/a: disk quota exceeded":                                      firstboot.CodeSpace,
		"ReadFull(<data/6d19>): open /mnt/x: no such file or directory":           firstboot.CodeDamaged,
		"decrypting blob <data/ea57> from 6d19 failed":                            firstboot.CodeDamaged,
		"path tmp: id be2c not found in repository":                               firstboot.CodeDamaged,
		"Unknown blob be2c":                                                       firstboot.CodeDamaged,
		"ReadFull(<data/6d19>): read /mnt/x: input/output error":                  firstboot.CodeDisk,
		"lchown /home/a: operation not permitted":                                 firstboot.CodeIncomplete,
		"read /home/a: input/output error":                                        firstboot.CodeIncomplete,
		"Load(<index/6d19>, 0, 0) failed: no space left on device, so to speak.":  firstboot.CodeSpace,
		"Load(<snapshot/6d19>, 0, 0) failed: invalid data returned: no such luck": firstboot.CodeDamaged,
	}
	for text, want := range tests {
		if got := codeOf(text); got != want {
			t.Errorf("codeOf(%s): %d, expected %d", text, got, want)
		}
	}
}

func TestListed(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	for n, want := range map[int]string{0: "", 1: "a", 5: "a, b, c, d, e", 6: "a, b, c, d, e and 1 more"} {
		if got := Listed(names[:n]); got != want {
			t.Errorf("listed of %d: %q, expected %q", n, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\x1b[31m": "a b [31m", " \xff ": "\uFFFD",
		strings.Repeat("é", 200): strings.Repeat("é", 200), strings.Repeat("é", 201): strings.Repeat("é", 200) + "…",
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q): %q, expected %q", in, got, want)
		}
	}
}

func TestNewest(t *testing.T) {
	at := func(id string, year int) Snapshot {
		return Snapshot{ID: id, Time: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	a, b, c, d := at("a", 1970), at("b", 2040), at("c", 2040), at("d", -1)
	for want, list := range map[string][]Snapshot{"a": {a}, "b": {b, a}, "c": {a, b, c, d}, "d": {d}} {
		if got := Newest(list); got.ID != want {
			t.Errorf("newest of %v: %s, expected %s", list, got.ID, want)
		}
	}
}

// TestNames finds each name that comes again, in whatever order they come.
func TestNames(t *testing.T) {
	for _, list := range [][]string{
		{"a", "b", "c"}, {"a", "a"}, {"b", "a", "b"}, {"b", "a", "a", "c", "b", "c"}, {"", ""}, {"c", "b", "a"}, {"a", "c", "b", "d", "d", "a"},
	} {
		var n names
		for i, name := range list {
			if got, want := n.had(name), slices.Contains(list[:i], name); got != want {
				t.Errorf("%q at %d of %q: had %v", name, i, list, got)
			}
		}
	}
}

// TestFirst makes files that nobody may open who may not open them in the end.
func TestFirst(t *testing.T) {
	for mode, want := range map[fs.FileMode]uint32{
		0o644: 0o644, 0o400: 0o600, 0: 0o600, 0o777: 0o777, fs.ModeSetuid | 0o755: 0o755, fs.ModeSetgid | fs.ModeSticky | 0o070: 0o670,
	} {
		f := &wanted{entry: &entry{Node: &reader.Node{Mode: uint32(mode)}}}
		if got := f.first(); got != want {
			t.Errorf("%v: %o, expected %o", mode, got, want)
		}
	}
}
