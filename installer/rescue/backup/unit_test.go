package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// testSnapshots are some in the order of Snapshots, with times of two zones.
func testSnapshots() []repository.Snapshot {
	at := func(id, when string) repository.Snapshot {
		t, err := time.Parse(time.RFC3339, when)
		if err != nil {
			panic(err)
		}
		return repository.Snapshot{ID: id + strings.Repeat("0", 64-len(id)), Time: t, Host: "fox"}
	}
	return []repository.Snapshot{
		at("dddd", "2026-11-21T00:30:00+02:00"), // before the next by the clock of the world
		at("abcd22", "2026-11-20T23:00:00Z"),
		at("abcd11", "2026-11-20T18:30:40Z"),
		at("1234", "2026-11-18T10:00:00Z"),
	}
}

func TestChoose(t *testing.T) {
	tests := []struct {
		want, id string
		code     firstboot.Code
		class    fault.Class
		err      string
	}{
		{want: "", id: "abcd22"},
		{want: " newest\n", id: "abcd22"},
		{want: "2026-11-21", id: "abcd22"},
		{want: "2026-11-20", id: "abcd22"},
		{want: "2026-11-20 22:59", id: "abcd11"},
		{want: "2026-11-20 18:30", id: "abcd11"}, // to the minute
		{want: "2026-11-20T18:30:40", id: "abcd11"},
		{want: "2026-11-20 18:30:39", id: "1234"},
		{want: "2026-11-18", id: "1234"},
		{want: "2026-11-17", code: firstboot.CodeNoSnapshot, err: "no snapshot not after 2026-11-17: there are dddd0000 of 2026-11-21 00:30 on fox, abcd2200"},
		{want: "2026-13-17", class: fault.Usage, err: "no such date"},
		{want: "2026-11-20 25:00", class: fault.Usage, err: "no such date"},
		{want: "yesterday", class: fault.Usage, err: "neither a date nor an ID"},
		{want: "123", class: fault.Usage, err: "3 digits of an ID, expected at least 4"},
		{want: "1234", id: "1234"},
		{want: "12340", id: "1234"},
		{want: "ABCD1", id: "abcd11"},
		{want: "abcd", code: firstboot.CodeNoSnapshot, err: "snapshot abcd: is one of 2: there are abcd2200"},
		{want: "beef", code: firstboot.CodeNoSnapshot, err: "no snapshot beef: there are dddd0000"},
		{want: strings.Repeat("0", 64), code: firstboot.CodeNoSnapshot, err: "there are"},
		{want: strings.Repeat("0", 65), class: fault.Usage, err: "neither a date nor an ID"},
	}
	for _, tt := range tests {
		got, err := Choose(testSnapshots(), tt.want)
		if tt.err != "" {
			if err == nil || firstboot.CodeOf(err) != tt.code || tt.class != 0 && fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Choose(%q): %v, expected code %d, class %d, %s", tt.want, err, tt.code, tt.class, tt.err)
			}
			continue
		}
		if err != nil || !strings.HasPrefix(got.ID, tt.id) {
			t.Errorf("Choose(%q): %.8s, %v; expected %s", tt.want, got.ID, err, tt.id)
		}
	}
	if _, err := Choose(nil, ""); err == nil || !strings.Contains(err.Error(), "no snapshot: there is none") {
		t.Errorf("Choose of none: %v", err)
	}
	same := testSnapshots()[:2]
	same[1].Time = same[0].Time
	if got, err := Choose(same, ""); err != nil || got.ID != same[0].ID {
		t.Errorf("Choose of one time: %.8s, %v; expected the first", got.ID, err)
	}
}

func FuzzChoose(f *testing.F) {
	for _, want := range []string{"", "newest", "2026-11-20", "2026-11-20T18:30:40", "abcd1", "abcd", "2026-99-99"} {
		f.Add(want)
	}
	f.Fuzz(func(t *testing.T, want string) {
		got, err := Choose(testSnapshots(), want)
		if err == nil && !repository.IsID(got.ID) {
			t.Errorf("Choose(%q): ID %q", want, got.ID)
		}
	})
}

func TestCleaned(t *testing.T) {
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint("/", i))
		}
		return list
	}
	tests := []struct {
		name string
		in   []string
		want []string // nil is an error
	}{
		{"one", []string{"a/../b/"}, []string{"/b"}},
		{"above the top", []string{"../../a"}, []string{"/a"}},
		{"in others", []string{"/a/b", "/a-b", "/a", "/a/b/c", "/a b", "/ab", "/a"}, []string{"/a", "/a b", "/a-b", "/ab"}},
		{"all", []string{"/b", "/", "/a"}, []string{"/"}},
		{"none", nil, nil},
		{"empty", []string{"/a", ""}, nil},
		{"NUL", []string{"/a\x00"}, nil},
	}
	for _, tt := range tests {
		got, err := cleaned(slices.Clone(tt.in))
		if err == nil {
			got = outermost(got)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	for n, ok := range map[int]bool{maxPaths - 1: true, maxPaths: true, maxPaths + 1: false} {
		if got, err := cleaned(many(n)); (err == nil) != ok || ok && len(got) != n {
			t.Errorf("%d paths: %d, %v", n, len(got), err)
		}
	}
}

func TestNearest(t *testing.T) {
	tests := []struct {
		want  string
		names string
		near  string
	}{
		{"fotos", "photos videos ftos zzz", "ftos photos"},
		{"Notes", "no note notes.txt notes", "notes note notes.txt"},
		{"alcie", "alice bob", "alice"},
		{"abc", "abd xbd", "abd"},
		{"ab", "cd", ""},
		{"report.pdf", "pdf pd report report-final.pdf", "pdf report"},
		{"a", "abc abd abe abf", "abc abd abe"},
		{strings.Repeat("a", longestNear), strings.Repeat("a", longestNear-1) + "b " + strings.Repeat("b", longestNear+1), strings.Repeat("a", longestNear-1) + "b"},
		{strings.Repeat("a", longestNear+1), strings.Repeat("a", longestNear) + "b", ""},
	}
	for _, tt := range tests {
		n := newNearest(tt.want)
		for name := range strings.FieldsSeq(tt.names) {
			n.see(name)
		}
		var got []string
		for _, f := range n.found {
			got = append(got, f.name)
		}
		if strings.Join(got, " ") != tt.near {
			t.Errorf("near %q of %q: %q, expected %q", tt.want, tt.names, got, tt.near)
		}
	}
	n := newNearest("abcdef")
	n.measured = mostMeasured - 1
	n.see("abcdeg")
	n.see("abcdeh")
	if len(n.found) != 1 {
		t.Errorf("%d names were measured after the last but one, expected 1", len(n.found))
	}
}

func TestOwnerless(t *testing.T) {
	for kind, want := range map[int64]string{unix.MSDOS_SUPER_MAGIC: "FAT", unix.EXFAT_SUPER_MAGIC: "exFAT", typeNTFS3: "NTFS", unix.BTRFS_SUPER_MAGIC: "", unix.TMPFS_MAGIC: ""} {
		if got := ownerless(kind); got != want {
			t.Errorf("ownerless(%#x): %q, expected %q", kind, got, want)
		}
	}
}

func TestLocated(t *testing.T) {
	full := located("x", &fs.PathError{Op: "write", Path: "/a", Err: unix.ENOSPC})
	if fault.ClassOf(full) != fault.Target || fault.HintOf(full) == "" || !errors.Is(full, unix.ENOSPC) {
		t.Errorf("a full disk: class %d, %v", fault.ClassOf(full), full)
	}
	damaged := located("x", firstboot.NewProblem(firstboot.CodeDamaged, "h", "y"))
	if firstboot.CodeOf(damaged) != firstboot.CodeDamaged || firstboot.HintOf(damaged) != "h" || damaged.Error() != "x: y" {
		t.Errorf("a problem: %v", damaged)
	}
}
