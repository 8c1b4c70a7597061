package backup

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/resticrepo"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

// resticProgram is the one that is put into images; make programs builds it.
const resticProgram = "../../../.cache/programs/restic"

const testPassword = "correct horse"

// made is a home and a repository with snapshots of it, made once for all tests.
type made struct {
	home, repo string
	ids        map[string]string // of "old", "new" and "other"
}

var testDir string

var testMade = sync.OnceValues(func() (made, error) {
	dir, err := os.MkdirTemp("", "backup-test")
	if err != nil {
		return made{}, err
	}
	testDir = dir
	m := made{home: filepath.Join(dir, "home"), repo: filepath.Join(dir, "disk/restic/fox"), ids: map[string]string{}}
	if err := makeHome(m.home); err != nil {
		return m, err
	}
	if _, err := m.restic("init"); err != nil {
		return m, err
	}
	if err := resticrepo.CheapKey(m.repo, testPassword); err != nil {
		return m, err
	}
	for _, s := range []struct{ name, host, time, notes string }{
		{"old", "fox", "2026-11-18 10:00:00", "old notes\n"},
		{"other", "wolf", "2026-11-21 08:00:00", "of the wolf\n"},
		{"new", "fox", "2026-11-20 18:30:40", "new notes\n"},
	} {
		if err := os.WriteFile(filepath.Join(m.home, "alice/notes"), []byte(s.notes), 0o640); err != nil {
			return m, err
		}
		out, err := m.restic("backup", "--pack-size=4", "--host="+s.host, "--time="+s.time, m.home)
		if err != nil {
			return m, err
		}
		_, after, _ := strings.Cut(out, `"snapshot_id":"`)
		m.ids[s.name], _, _ = strings.Cut(after, `"`)
		if !repository.IsID(m.ids[s.name]) {
			return m, fmt.Errorf("restic backup: no snapshot in %s", out)
		}
	}
	return m, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if testDir != "" {
		os.RemoveAll(testDir)
	}
	os.Exit(code)
}

func (m made) restic(args ...string) (string, error) {
	cmd := exec.Command(resticProgram, append([]string{"--repo=" + m.repo, "--no-cache", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+testPassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("restic %q: %w: %s", args, err, out)
	}
	return string(out), nil
}

// makeHome makes homes, with names that are patterns of restic and others that
// these fit.
func makeHome(dir string) error {
	random := make([]byte, 9<<20)
	r := rand.NewPCG(1, 2)
	for i := range random {
		random[i] = byte(r.Uint64())
	}
	for name, text := range map[string][]byte{
		"alice/photos/big": random, "alice/photos/*": []byte("star"), "alice/photos/small": []byte("s"), "alice/[x]?": []byte("brackets"), "alice/xy": []byte("xy"),
		`alice/a\b`: []byte("backslash"), "alice/ab": []byte("ab"), "alice/empty": nil, "bob/notes": []byte("bob's\n"), "bob/\xff": []byte("no UTF-8"), "bob/caf\xe9/menu": []byte("of Latin-1"),
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, text, 0o640); err != nil {
			return err
		}
	}
	if err := os.Link(filepath.Join(dir, "alice/ab"), filepath.Join(dir, "alice/photos/other name")); err != nil {
		return err
	}
	if err := os.Symlink("/nowhere", filepath.Join(dir, "alice/link")); err != nil {
		return err
	}
	return os.Chmod(filepath.Join(dir, "alice"), 0o710)
}

// opened is a repository that a test has open.
type opened struct {
	*Backup
	made
	t   testing.TB
	dir string // for what the test makes

	unreadable []string // what was told of snapshots that are damaged
}

// open opens the repository of all tests.
func open(t testing.TB) *opened {
	t.Helper()
	return openWith(t, nil)
}

// openWith opens a copy of it that is changed first.
func openWith(t testing.TB, change func(repo string)) *opened {
	t.Helper()
	imgtest.NeedRoot(t) // owners are copied
	imgtest.Need(t, resticProgram)
	m, err := testMade()
	must(t, err)
	o := &opened{made: m, t: t, dir: t.TempDir()}
	place := Place{
		Dir: filepath.Join(testDir, "disk"), Repository: "restic/fox", Disk: "LABEL=back up", Again: "mkimage-rescue copy",
		Unreadable: func(line string) { o.unreadable = append(o.unreadable, line) },
	}
	if change != nil {
		place.Dir = filepath.Join(o.dir, "disk")
		must(t, os.CopyFS(filepath.Join(place.Dir, place.Repository), os.DirFS(m.repo)))
		change(filepath.Join(place.Dir, place.Repository))
	}
	o.Backup, err = Open(context.Background(), place, []byte(testPassword))
	must(t, err)
	t.Cleanup(o.Close)
	return o
}

// withoutLargest removes the pack of a repository that has the most data.
func withoutLargest(t testing.TB) func(repo string) {
	return func(repo string) {
		packs, err := filepath.Glob(filepath.Join(repo, "data/*/*"))
		must(t, err)
		largest, size := "", int64(0)
		for _, pack := range packs {
			if info, err := os.Stat(pack); err == nil && info.Size() > size {
				largest, size = pack, info.Size()
			}
		}
		must(t, os.Remove(largest))
	}
}

// in returns a path of the snapshots.
func (o *opened) in(name string) string { return filepath.Join(o.home, name) }

// same fails unless a tree is as one of the home.
func (o *opened) same(name, at string) {
	o.t.Helper()
	if diff := cmp.Diff(list(o.t, o.in(name)), list(o.t, at)); diff != "" {
		o.t.Errorf("%s (-backup +copied):\n%s", name, diff)
	}
}

func list(t testing.TB, dir string) string {
	t.Helper()
	var out bytes.Buffer
	must(t, listtree.List(&out, dir))
	return out.String()
}

// names returns the names in a directory, with spaces between.
func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func write(t testing.TB, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
}

func text(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return string(data)
}

// damage changes the last byte of a file.
func damage(t testing.TB, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	data[len(data)-1] ^= 1
	must(t, os.Chmod(name, 0o600), os.WriteFile(name, data, 0o600))
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
