package repository

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// restore has restic restore once more.
func (m *made) restore() error {
	return m.byRestic(m.restored, m.home)
}

// sized makes a home whose files have 10 bytes, or are larger than a block.
func sized(dir string) error {
	large := random(3<<20, 7)
	for name, text := range map[string][]byte{
		"as it is": []byte("0123456789"), "less": []byte("0123456789"), "less, zeros": []byte("01234567\x00\x00"), "more": []byte("0123456789"),
		"more, large": large, "less, large": large, "more, nothing": nil,
	} {
		if err := firstError(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), text, 0o600)); err != nil {
			return err
		}
	}
	return date(dir)
}

// Where a node says another size than its blobs have, which restic allows, what
// restic makes of it is right, and nothing else.
func TestVerifySizes(t *testing.T) {
	imgtest.Need(t, oursProgram, "cp")
	m, err := making{program: oursProgram, fill: sized, after: func(m *made) error {
		return m.rewrite(func(path string, node map[string]any) {
			if node["type"] != "file" || path == "as it is" {
				return
			}
			size, by := int64(0), int64(4)
			if text, ok := node["size"].(json.Number); ok {
				size, _ = text.Int64()
			}
			if strings.HasSuffix(path, "large") {
				by = 1 << 20
			}
			if strings.HasPrefix(path, "less") {
				by = -by
			}
			node["size"] = size + by
		})
	}}.make(t.TempDir())
	must(t, err)
	to := filepath.Join(t.TempDir(), "ours")
	for range 2 { // the second time over what is there
		_, err = m.ours(to)
		must(t, err)
		same(t, m.restored, to)
		if got, err := m.verify(to); err != nil || got.Wrong+got.Odd > 0 {
			t.Errorf("of ours: %+v, %v", got, err)
		}
	}
	for _, tt := range []changed{
		{name: "as restored", change: func(func(string) string) error { return nil }},
		{name: "a zero that is none", change: func(in func(string) string) error {
			return firstError(overwrite(in("more"), "!", 10), overwrite(in("more, large"), "!", 4<<20-1))
		}, wrong: []string{"/more", "/more, large"}, gone: []string{"/more", "/more, large"}},
		{name: "without all zeros", change: func(in func(string) string) error {
			return keepTime(in("more"), func() error { return os.Truncate(in("more"), 10) })
		}},
		{name: "a byte of the blobs less", change: func(in func(string) string) error {
			return keepTime(in("more"), func() error { return os.Truncate(in("more"), 9) })
		}, wrong: []string{"/more"}, gone: []string{"/more"}},
		{name: "a zero more", change: func(in func(string) string) error { return overwrite(in("more"), "\x00", 14) }, wrong: []string{"/more"}, gone: []string{"/more"}},
		{name: "a zero less than its size", change: func(in func(string) string) error {
			return keepTime(in("less, zeros"), func() error { return os.Truncate(in("less, zeros"), 5) })
		}, wrong: []string{"/less, zeros"}, gone: []string{"/less, zeros"}},
		{name: "zeros that its size does not have", change: func(in func(string) string) error {
			return keepTime(in("less, zeros"), func() error { return os.Truncate(in("less, zeros"), 8) })
		}},
		{name: "bytes that its size does not have", change: func(in func(string) string) error {
			return keepTime(in("less"), func() error { return os.Truncate(in("less"), 6) })
		}, wrong: []string{"/less"}, gone: []string{"/less"}},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, m) })
	}
	t.Run("restored again", func(t *testing.T) { // which cuts files to the size of their node
		for range 2 {
			must(t, m.restore())
			if got, err := m.verify(m.restored); err != nil {
				t.Fatal(err)
			} else if got.Wrong == 0 {
				return
			}
		}
		t.Error("is wrong for ever")
	})
}

// linked makes a home in which several files are of one size and time.
func linked(dir string) error {
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a/single", "b/first", "c/own content", "d/single", "e/other", "f/single like it"} {
		if err := firstError(os.MkdirAll(filepath.Dir(in(name)), 0o755), os.WriteFile(in(name), []byte(filepath.Dir(name)+" content"), 0o600)); err != nil {
			return err
		}
	}
	if err := firstError(os.Link(in("b/first"), in("c/second")), os.Link(in("b/first"), in("d/third")), os.WriteFile(in("f/single like it"), []byte("b content"), 0o600)); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		return firstError(err, touch(name, 1_600_000_000_000_000_000))
	})
}

// renumber makes the nodes of a snapshot those of one file that was changed while it
// was backed up, or whose number was of another one before.
func (m *made) renumber() error {
	nodes := map[string]map[string]any{}
	if err := m.rewrite(func(path string, node map[string]any) { nodes[path] = node }); err != nil {
		return err
	}
	first, other := nodes["b/first"], nodes["e/other"]
	return m.rewrite(func(path string, node map[string]any) {
		switch path {
		case "c/second":
			node["content"], node["size"] = other["content"], other["size"]
		case "a/single", "d/single", "f/single like it":
			node["inode"], node["device_id"] = first["inode"], first["device_id"]
		}
	})
}

// Names of one file that have another content in the snapshot are files of their own
// when ours has restored them, and right; restic links them, which is wrong.
func TestVerifyMerged(t *testing.T) {
	imgtest.Need(t, oursProgram)
	m, err := making{program: oursProgram, fill: linked, after: (*made).renumber}.make(t.TempDir())
	must(t, err)
	got, err := m.verify(m.restored)
	must(t, err)
	if got.Wrong == 0 {
		t.Errorf("what restic linked: %+v, expected some that are wrong", got)
	}
	for range 2 { // the second time over what is there
		_, err = m.ours(m.restored)
		must(t, err)
		got, err = m.verify(m.restored)
		must(t, err)
		if diff := cmp.Diff(Verdict{}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for name, want := range map[string]string{
			"a/single": "a content", "b/first": "b content", "c/second": "e content", "d/single": "d content", "d/third": "b content", "e/other": "e content", "f/single like it": "b content",
		} {
			if text, err := os.ReadFile(filepath.Join(m.restored, name)); err != nil || string(text) != want {
				t.Errorf("%s: %q, %v; expected %q", name, text, err, want)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		v    Verdict
		want []string
	}{
		{Verdict{Wrong: 1, First: []string{"/a"}}, nil},
		{Verdict{Odd: 2, FirstOdd: "/b"}, []string{"/home: 2 entries have another owner, mode, time, extended attribute or hard link than in the snapshot, the first is /b"}},
	} {
		if got := tt.v.Warnings("/home"); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, expected %q", tt.v, got, tt.want)
		}
	}
}

// As many are named of those that are wrong, in their order.
func TestFirstFindings(t *testing.T) {
	for n, want := range map[int]int{maxFailures - 1: maxFailures - 1, maxFailures: maxFailures, maxFailures + 1: maxFailures} {
		var f findings
		for i := n; i > 0; i-- {
			f.fail(&placed{entry: &entry{Node: &reader.Node{}, seq: int64(i), path: strconv.Itoa(i)}, dir: absentDir()})
		}
		got := f.verdict()
		if got.Wrong != n || len(got.First) != want || got.First[0] != "1" || got.First[want-1] != strconv.Itoa(want) {
			t.Errorf("%d: %+v", n, got)
		}
	}
}
