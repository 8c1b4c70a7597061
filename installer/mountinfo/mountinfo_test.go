package mountinfo

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const table = `26 1 0:30 /@ / rw,noatime shared:1 - btrfs /dev/sda4 rw,compress=zstd:3,subvol=/@
31 26 8:1 / /my\040disk rw - vfat /dev/sda1 rw
32 26 0:40 / /run rw shared:2 master:3 - tmpfs none
short line
33 26 0:41 / /x rw - tmpfs
`

func TestParse(t *testing.T) {
	want := []Mount{
		{"26", "0:30", "/@", "/", "btrfs", "/dev/sda4", []string{"rw", "compress=zstd:3", "subvol=/@"}},
		{"31", "8:1", "/", "/my disk", "vfat", "/dev/sda1", []string{"rw"}},
		{"32", "0:40", "/", "/run", "tmpfs", "none", nil},
	}
	if diff := cmp.Diff(want, Parse(table)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`a\040b\134c\012`: "a b\\c\n", `a\04`: `a\04`, `\999`: `\999`, `\400`: `\400`, `\`: `\`, `\\040`: `\ `, "plain": "plain", `\377`: "\xff",
	} {
		if got := Unescape(in); got != want {
			t.Errorf("Unescape(%s) = %q; want %q", in, got, want)
		}
	}
}

func TestSelf(t *testing.T) {
	list, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Point == "/proc" && m.Type == "proc" {
			return
		}
	}
	text, _ := os.ReadFile(Path)
	t.Errorf("no proc at /proc in %v of\n%s", list, text)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", table, "26 1 0:30 /@ /a\\040b rw - btrfs /dev\\134 rw", " - ", "a b c d e f - g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range Parse(text) {
			if m.Number == "" || m.Source == "" || m.Point == "" {
				t.Errorf("Parse(%q): %+v", text, m)
			}
		}
		if !strings.Contains(text, `\`) && Unescape(text) != text {
			t.Errorf("Unescape(%q): %q", text, Unescape(text))
		}
	})
}
