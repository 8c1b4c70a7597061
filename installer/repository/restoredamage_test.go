package repository

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// own returns one whose repository is a copy.
func (m *made) own(t testing.TB) *made {
	t.Helper()
	c := *m
	c.repo = filepath.Join(t.TempDir(), "repo")
	if out, err := exec.Command("cp", "-a", m.repo, c.repo).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return &c
}

// packs returns the names of all packs.
func (m *made) packs(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(m.repo, "data/*/*"))
	must(t, err)
	return names
}

// dataPacks returns those that have no trees of the home.
func (m *made) dataPacks(t testing.TB) (names []string) {
	t.Helper()
	all, err := m.repository().Measure(t.Context(), m.restoring())
	must(t, err)
	for _, name := range m.packs(t) {
		must(t, os.Rename(name, name+".away"))
		got, err := m.repository().Measure(t.Context(), m.restoring())
		must(t, os.Rename(name+".away", name))
		if err == nil && got == all {
			names = append(names, name)
		}
	}
	if len(names) < 2 {
		t.Fatalf("%d packs of data, expected several", len(names))
	}
	return names
}

// flip changes a byte of a file.
func flip(t testing.TB, name string, at int) {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	text[at] ^= 0x10
	must(t, os.Chmod(name, 0o600), os.WriteFile(name, text, 0o600))
}

// checkLost says that what an error names is all that is not as it should be, which the
// good repository tells.
func (m *made) checkLost(t *testing.T, to string, err error) {
	t.Helper()
	v, verr := m.verify(to)
	must(t, verr)
	if firstboot.CodeOf(err) != firstboot.CodeDamaged || firstboot.HintOf(err) == "" {
		t.Fatalf("code %d, %v; expected %d", firstboot.CodeOf(err), err, firstboot.CodeDamaged)
	}
	if v.Wrong == 0 || v.Odd != 0 || !strings.HasPrefix(err.Error(), fmt.Sprintf("%d errors, ", v.Wrong)) {
		t.Errorf("%+v; expected as many as in: %v", v, err)
	}
	_, named, _ := strings.Cut(err.Error(), "restored was not: ")
	for _, path := range v.First {
		if v.Wrong <= 5 && !strings.Contains(named, path) {
			t.Errorf("%s is not named: %v", path, err)
		}
	}
}

// Of what is damaged all that is not is restored, into an empty directory and over what
// is wrong.
func TestRestoreDamaged(t *testing.T) {
	m := wholeRepository(t)
	c := m.own(t)
	for i, pack := range c.dataPacks(t) {
		for name, damage := range map[string]func(){
			"missing": func() { must(t, os.Remove(pack)) },
			"flipped": func() { flip(t, pack, 100) },
			"cut":     func() { must(t, os.Chmod(pack, 0o600), os.Truncate(pack, 50)) },
		} {
			t.Run(fmt.Sprint(name, " ", i), func(t *testing.T) {
				text, err := os.ReadFile(pack)
				must(t, err)
				defer func() { must(t, os.RemoveAll(pack), os.WriteFile(pack, text, 0o400)) }()
				damage()
				to := filepath.Join(t.TempDir(), "to")
				_, err = c.ours(to)
				m.checkLost(t, to, err)
				must(t, eachRegular(to, zeroed))
				_, err = c.ours(to)
				m.checkLost(t, to, err)
			})
		}
	}
}

// What no index has is damage of the files that it is in.
func TestRestoreUnindexed(t *testing.T) {
	m := wholeRepository(t)
	c := m.own(t)
	must(t, c.rewrite(func(path string, node map[string]any) {
		switch path {
		case "alice/small", "alice/first name":
			node["content"] = []string{strings.Repeat("ab", 32)}
		case "bob/d":
			node["subtree"] = strings.Repeat("cd", 32)
		}
	}))
	to := filepath.Join(t.TempDir(), "to")
	sum, err := c.ours(to)
	if err == nil || !strings.Contains(err.Error(), "is in no index") && !strings.Contains(err.Error(), "is in no file of it") {
		t.Error(err)
	}
	if !strings.Contains(fmt.Sprint(err), "3 errors") || !strings.Contains(fmt.Sprint(err), "/bob/d") || firstboot.CodeOf(err) != firstboot.CodeDamaged {
		t.Errorf("code %d, %v; expected both files and the directory", firstboot.CodeOf(err), err)
	}
	v, err := m.verify(to)
	must(t, err)
	if diff := cmp.Diff([]string{"/alice/first name", "/alice/small", "/bob/d/e", "/bob/d/e/f"}, v.First); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := c.repository().Measure(t.Context(), c.restoring()); err != nil || got != sum {
		t.Errorf("measured %+v, %v; expected %+v", got, err, sum)
	}
}

// A directory whose tree is damaged is named, and all others are restored.
func TestRestoreDamagedTree(t *testing.T) {
	m := wholeRepository(t)
	c := m.own(t)
	all, err := c.repository().Measure(t.Context(), c.restoring())
	must(t, err)
	before := c.packs(t)
	must(t, c.rewrite(func(string, map[string]any) {}))
	for _, name := range c.packs(t) {
		if !slices.Contains(before, name) {
			flip(t, name, 40) // the first tree that was written is alice's
		}
	}
	to := filepath.Join(t.TempDir(), "to")
	sum, err := c.ours(to)
	if firstboot.CodeOf(err) != firstboot.CodeDamaged || !strings.Contains(fmt.Sprint(err), "1 errors, the first with /alice: ") {
		t.Errorf("code %d, %v; expected %d of /alice", firstboot.CodeOf(err), err, firstboot.CodeDamaged)
	}
	if got, err := c.repository().Measure(t.Context(), c.restoring()); err != nil || got != sum || sum.Files >= all.Files {
		t.Errorf("measured %+v, %v; expected %+v, less than %+v", got, err, sum, all)
	}
	same(t, filepath.Join(m.restored, "bob/d"), filepath.Join(to, "bob/d"))
	same(t, filepath.Join(m.restored, "void"), filepath.Join(to, "void"))
}

// Of blobs that are in two packs one that is right is enough.
func TestRestoreDuplicates(t *testing.T) {
	m := wholeRepository(t)
	c := m.own(t)
	packs := c.dataPacks(t)
	twice, err := c.duplicate(packs)
	must(t, err)
	for name, damaged := range map[string][]string{"the first": packs, "the second": twice} {
		for _, pack := range damaged {
			must(t, os.Rename(pack, pack+".away"), os.WriteFile(pack, make([]byte, 1<<20), 0o600))
		}
		to := filepath.Join(t.TempDir(), name)
		if _, err := c.ours(to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		same(t, m.restored, to)
		for _, pack := range damaged {
			must(t, os.Rename(pack+".away", pack))
		}
	}
}

// A snapshot with two entries of one name does not get out of where it is restored.
func TestRestoreTwoOfAName(t *testing.T) {
	imgtest.Need(t, oursProgram)
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.Mkdir(outside, 0o710), os.WriteFile(filepath.Join(outside, "f"), []byte("canary"), 0o600))
	alive := treeOf(t, filepath.Dir(outside))
	m, err := making{program: oursProgram, fill: func(dir string) error {
		in := func(name string) string { return filepath.Join(dir, name) }
		return firstError(
			os.MkdirAll(in("symlink, directory/b"), 0o777), os.Symlink(outside, in("symlink, directory/a")), os.WriteFile(in("symlink, directory/b/f"), []byte("evil"), 0o666),
			os.MkdirAll(in("directory, symlink/a"), 0o777), os.Symlink(outside, in("directory, symlink/b")), os.WriteFile(in("directory, symlink/a/f"), []byte("evil"), 0o666),
			os.MkdirAll(in("file, FIFO"), 0o777), os.WriteFile(in("file, FIFO/a"), []byte("file"), 0o600), exec.Command("mkfifo", in("file, FIFO/b")).Run(),
			os.MkdirAll(in("file, symlink"), 0o777), os.WriteFile(in("file, symlink/a"), []byte("evil"), 0o600), os.Symlink(outside+"/f", in("file, symlink/b")),
			os.MkdirAll(in("right"), 0o777), os.WriteFile(in("right/f"), []byte("right"), 0o600),
		)
	}}.make(t.TempDir())
	must(t, err)
	must(t, m.rewrite(func(path string, node map[string]any) {
		if filepath.Base(path) == "b" {
			node["name"] = "a"
		}
	}))
	to := filepath.Join(t.TempDir(), "to")
	for range 2 {
		_, err := m.ours(to)
		if firstboot.CodeOf(err) != firstboot.CodeDamaged || !strings.Contains(fmt.Sprint(err), "4 errors") || !strings.Contains(fmt.Sprint(err), "is in its directory twice") {
			t.Errorf("code %d, %v", firstboot.CodeOf(err), err)
		}
		if diff := cmp.Diff(alive, treeOf(t, filepath.Dir(outside))); diff != "" {
			t.Errorf("outside (-want +got):\n%s", diff)
		}
		same(t, filepath.Join(m.restored, "right"), filepath.Join(to, "right"))
	}
	if _, err := m.repository().Verify(context.Background(), Proof{Restoring: Restoring{Snapshot: m.id, From: m.home, To: to}, Name: "/home"}); firstboot.CodeOf(err) != firstboot.CodeDamaged {
		t.Errorf("proof: %v, expected damage", err)
	}
}
