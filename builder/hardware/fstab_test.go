package hardware

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

func TestParseFstab(t *testing.T) {
	defaults := []string{"defaults"}
	tests := []struct {
		name, in string
		mounts   []Mount
		swaps    []Swap
	}{
		{"empty", "", nil, nil},
		{"comment", "# x y z\n\t# x y z\n\n", nil, nil},
		{"all fields", "LABEL=a\t/  btrfs subvol=@,ro 0 1\n", []Mount{{"LABEL=a", "/", "btrfs", []string{"subvol=@", "ro"}, 1}}, nil},
		{"no line break", "a / ext4", []Mount{{"a", "/", "ext4", defaults, 0}}, nil},
		{"line breaks of DOS", "a / ext4 ro 0 1\r\n", []Mount{{"a", "/", "ext4", []string{"ro"}, 1}}, nil},
		{"five fields", "a / ext4 ro 0", []Mount{{"a", "/", "ext4", []string{"ro"}, 0}}, nil},
		{"seven fields", "a / ext4 ro 0 2 x", []Mount{{"a", "/", "ext4", []string{"ro"}, 2}}, nil},
		{"swap", "/f none swap pri=1 0 0\n/g swap swap", nil, []Swap{{"/f", []string{"pri=1"}}, {"/g", defaults}}},
		{"not mounted", "x none ignore ro\nx rel ext4", nil, nil},
		{"escapes", `a\040b /c\134\011\012 t\1 o\0401`, []Mount{{"a b", "/c\\\t\n", `t\1`, []string{"o 1"}, 0}}, nil},
		{"escape that is none", `a\09b /c\777 t\`, []Mount{{`a\09b`, `/c\777`, `t\`, defaults, 0}}, nil},
		{"target is cleaned", "a //b/../c/ t", []Mount{{"a", "/c", "t", defaults, 0}}, nil},
		{"quoted tag", `LABEL="a\040b" / t` + "\n" + `"x" /x t`, []Mount{{"LABEL=a b", "/", "t", defaults, 0}, {`"x"`, "/x", "t", defaults, 0}}, nil},
		{"one quote", `LABEL=" / t`, []Mount{{`LABEL="`, "/", "t", defaults, 0}}, nil},
		{"quoted comma", `a / t x="b,c",d`, []Mount{{"a", "/", "t", []string{`x="b,c"`, "d"}, 0}}, nil},
		{"quote that stays open", `a / t x="b,c`, []Mount{{"a", "/", "t", []string{`x="b,c`}, 0}}, nil},
		{"empty options", "a / t ,a,,b,\nb /b t ,", []Mount{{"a", "/", "t", []string{"a", "b"}, 0}, {"b", "/b", "t", defaults, 0}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mounts, swaps, err := parseFstab(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]Mount{}, tt.mounts...), mounts); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(append([]Swap{}, tt.swaps...), swaps); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseFstabRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"two fields", "a / t\n\na /", "line 3: got 2 fields, expected at least 3"},
		{"one field", "a", "line 1: got 1 fields"},
		{"pass", "a / t ro 0 x", `line 1: field 6 is "x", expected a number`},
		{"negative pass", "a / t ro 0 -1", `field 6 is "-1"`},
		{"NUL", `a\000 / t`, "line 1: holds a NUL byte"},
		{"NUL in an option", `a / t r\000`, "line 1: holds a NUL byte"},
		{"NUL as it is", "a\x00 / t", "line 1: holds a NUL byte"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := parseFstab(tt.in)
			if err == nil || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}

// strange is a table with all that needs an escape.
func strange() *Hardware {
	return &Hardware{
		Mounts: []Mount{
			{"PARTUUID=ab-12", "/", "btrfs", []string{"subvol=@", "noatime"}, 0},
			{"LABEL=a b", "/with space\tand\\040", "btrfs", []string{"subvol=@x y", "ro"}, 2},
			{"#hash", "/#", "9p", []string{"#"}, 0},
			{`LABEL="q"`, "/q", "ext4", []string{"defaults"}, 1},
			{"tmpfs", "/tmp", "tmpfs", []string{}, 0},
		},
		Swaps: []Swap{{"/swap file", []string{"pri=1"}}, {"UUID=x", []string{"defaults"}}},
	}
}

// TestFstab lets findmnt read a table.
func TestFstab(t *testing.T) {
	imgtest.Need(t, "findmnt")
	h := strange()
	name := filepath.Join(t.TempDir(), "fstab")
	if err := os.WriteFile(name, h.Fstab(), 0o644); err != nil {
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
	for _, m := range h.Mounts {
		want = append(want, row{quoteTag(m.What), m.Target, m.Type, strings.Join(m.Options, ","), m.Pass})
	}
	want[4].Options = "defaults"
	for _, s := range h.Swaps {
		want = append(want, row{s.What, "none", "swap", strings.Join(s.Options, ","), 0})
	}
	if diff := cmp.Diff(want, got.Filesystems); diff != "" {
		t.Errorf("%s\n%s", diff, h.Fstab())
	}
}

// TestEscapeField: what a table has for a field, and that it reads the same.
func TestEscapeField(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "LABEL=a", "LABEL=a"},
		{"spaces", "a b\tc\nd\re", `a\040b\011c\012d\015e`},
		{"backslash", `a\040`, `a\134040`},
		{"comment", "#a#", `\043a#`},
		{"bytes", "\xff", "\xff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := escapeField(tt.in)
			if got != tt.want || unescapeField(got) != tt.in {
				t.Errorf("escapeField(%q) = %q, which reads %q; want %q", tt.in, got, unescapeField(got), tt.want)
			}
		})
	}
}

func TestFstabOfMemoryRoot(t *testing.T) {
	h := &Hardware{Mounts: []Mount{{"tmpfs", "/", "tmpfs", []string{"size=2G"}, 0}, {"tmpfs", "/tmp", "tmpfs", nil, 0}}}
	if got, want := string(h.Fstab()), "# what where type options dump pass\ntmpfs /tmp tmpfs defaults 0 0\n"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}

// FuzzParseFstab wants that what was read is written so that it reads the same.
func FuzzParseFstab(f *testing.F) {
	f.Add(string(strange().Fstab()))
	f.Add("a / t x=\"b,c\",d 0 1\nLABEL=\"\"x\"\" /b\\040 u\n/f none swap\n")
	f.Add("a /\n")
	f.Add("a / t\n")
	f.Fuzz(func(t *testing.T, text string) {
		var h, again Hardware
		var err error
		if h.Mounts, h.Swaps, err = parseFstab(text); err != nil {
			if fault.ClassOf(err) != fault.Input {
				t.Errorf("error %v: class %d", err, fault.ClassOf(err))
			}
			return
		}
		for _, m := range h.Mounts {
			if m.Type == "tmpfs" && m.Target == "/" {
				return // has no line
			}
		}
		if again.Mounts, again.Swaps, err = parseFstab(string(h.Fstab())); err != nil {
			t.Fatalf("%v: %q", err, h.Fstab())
		}
		if diff := cmp.Diff(h, again); diff != "" {
			t.Errorf("%s\n%q", diff, h.Fstab())
		}
	})
}
