package fstab

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func TestParse(t *testing.T) {
	none := []string{"defaults"}
	tests := []struct {
		name, in string
		want     []Line
	}{
		{"empty", "", nil},
		{"comment", "# x y z\n\t# x y z\n\n", nil},
		{"all fields", "LABEL=a\t/  btrfs subvol=@,ro 1 2\n", []Line{{1, "LABEL=a", "/", "btrfs", []string{"subvol=@", "ro"}, 1, 2}}},
		{"no line break", "\na / ext4", []Line{{2, "a", "/", "ext4", none, 0, 0}}},
		{"line breaks of DOS", "a / ext4 ro 0 1\r\n", []Line{{1, "a", "/", "ext4", []string{"ro"}, 0, 1}}},
		{"five fields", "a / ext4 ro 3", []Line{{1, "a", "/", "ext4", []string{"ro"}, 3, 0}}},
		{"seven fields", "a / ext4 ro 0 2 x", []Line{{1, "a", "/", "ext4", []string{"ro"}, 0, 2}}},
		{"order", "b /b t\n/f none swap pri=1 0 0\na /a t\n", []Line{
			{1, "b", "/b", "t", none, 0, 0}, {2, "/f", "none", "swap", []string{"pri=1"}, 0, 0}, {3, "a", "/a", "t", none, 0, 0},
		}},
		{"escapes", `a\040b /c\134\011\012 t\1 o\0401,\043`, []Line{{1, "a b", "/c\\\t\n", `t\1`, []string{"o 1", "#"}, 0, 0}}},
		{"escape that is none", `a\09b /c\777 t\`, []Line{{1, `a\09b`, `/c\777`, `t\`, none, 0, 0}}},
		{"target is cleaned", "a //b/../c/ t", []Line{{1, "a", "/c", "t", none, 0, 0}}},
		{"quoted tag", `LABEL="a\040b" / t` + "\n" + `"x" /x t`, []Line{{1, "LABEL=a b", "/", "t", none, 0, 0}, {2, `"x"`, "/x", "t", none, 0, 0}}},
		{"one quote", `LABEL=" / t`, []Line{{1, `LABEL="`, "/", "t", none, 0, 0}}},
		{"quoted comma", `a / t x="b,c",d`, []Line{{1, "a", "/", "t", []string{`x="b,c"`, "d"}, 0, 0}}},
		{"quote that stays open", `a / t x="b,c`, []Line{{1, "a", "/", "t", []string{`x="b,c`}, 0, 0}}},
		{"empty options", "a / t ,a,,b,\nb /b t ,", []Line{{1, "a", "/", "t", []string{"a", "b"}, 0, 0}, {2, "b", "/b", "t", none, 0, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"two fields", "a / t\n\na /", "line 3: got 2 fields, expected at least 3"},
		{"one field", "a", "line 1: got 1 fields"},
		{"dump", "a / t ro x", `line 1: field 5 is "x", expected a number`},
		{"pass", "a / t ro 0 x", `line 1: field 6 is "x", expected a number`},
		{"negative pass", "a / t ro 0 -1", `field 6 is "-1"`},
		{"NUL", `a\000 / t`, "line 1: holds a NUL byte"},
		{"NUL in an option", `a / t r\000`, "line 1: holds a NUL byte"},
		{"NUL as it is", "a\x00 / t", "line 1: holds a NUL byte"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.in)
			if err == nil || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}

// strange has all that needs an escape.
func strange() []Line {
	return []Line{
		{1, "PARTUUID=ab-12", "/", "btrfs", []string{"subvol=@", "noatime"}, 0, 0},
		{2, "LABEL=a b", "/with space\tand\\040", "btrfs", []string{"subvol=@x y", "ro"}, 0, 2},
		{3, "#hash", "/#", "9p", []string{"#"}, 0, 0},
		{4, `LABEL="q"`, "/q", "ext4", []string{"defaults"}, 0, 1},
		{5, "tmpfs", "/tmp", "tmpfs", nil, 0, 0},
		{6, "/swap file", "none", "swap", []string{"pri=1"}, 0, 0},
		{7, "UUID=x", "none", "swap", []string{"defaults"}, 0, 0},
	}
}

func table(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.String() + "\n")
	}
	return b.String()
}

// TestString lets findmnt read a table.
func TestString(t *testing.T) {
	imgtest.Need(t, "findmnt")
	name, text := filepath.Join(t.TempDir(), "fstab"), table(strange())
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// The exit status says that the devices are not there.
	out, _ := exec.Command("findmnt", "--verify", "--tab-file", name).CombinedOutput()
	if !bytes.Contains(out, []byte("\n0 parse errors,")) {
		t.Errorf("findmnt --verify:\n%s", out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "[E]") && !strings.Contains(line, "unreachable on boot") {
			t.Errorf("findmnt --verify: %s", line)
		}
	}
	out, err := exec.Command("findmnt", "--tab-file", name, "--json", "--list", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS,PASSNO").Output()
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Source, Target, FSType, Options string
		PassNo                          int
	}
	var got struct{ Filesystems []row }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var want []row
	for _, l := range strange() {
		want = append(want, row{quoteTag(l.What), l.Target, l.Type, strings.Join(l.Options, ","), l.Pass})
	}
	want[4].Options = "defaults"
	if diff := cmp.Diff(want, got.Filesystems); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
}

// TestEscape: what a table has for a field, and that it reads the same.
func TestEscape(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "LABEL=a", "LABEL=a"},
		{"spaces", "a b\tc\nd\re", `a\040b\011c\012d\015e`},
		{"backslash", `a\040`, `a\134040`},
		{"comment", "#a#", `\043a#`},
		{"bytes", "\xff", "\xff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := escape(tt.in)
			if got != tt.want || unescape(got) != tt.in {
				t.Errorf("escape(%q) = %q, which reads %q; want %q", tt.in, got, unescape(got), tt.want)
			}
		})
	}
}

func TestOption(t *testing.T) {
	l := Line{Options: []string{"subvol=a", "ro", "subvol=b=c", "subvolid"}}
	if got, ok := l.Option("subvol"); got != "b=c" || !ok {
		t.Errorf("subvol = %q, %v", got, ok)
	}
	if got, ok := l.Option("subvolid"); ok {
		t.Errorf("subvolid = %q", got)
	}
	if l.Has("subvol", "rw") || !l.Has("rw", "ro") {
		t.Error("ro")
	}
}

// FuzzParse wants that what was read is written so that it reads the same.
func FuzzParse(f *testing.F) {
	f.Add(table(strange()))
	f.Add("a / t x=\"b,c\",d 1 1\nLABEL=\"\"x\"\" /b\\040 u\n/f none swap\n")
	f.Add("a /\n")
	f.Add("a / t o 0 x\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := Parse(text)
		if err != nil {
			if fault.ClassOf(err) != fault.Input {
				t.Errorf("error %v: class %d", err, fault.ClassOf(err))
			}
			return
		}
		for i := range lines {
			lines[i].Number = i + 1
		}
		again, err := Parse(table(lines))
		if err != nil {
			t.Fatalf("%v: %q", err, table(lines))
		}
		if diff := cmp.Diff(lines, again); diff != "" {
			t.Errorf("%s\n%q", diff, table(lines))
		}
	})
}
