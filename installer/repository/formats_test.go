package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// addKeys adds keys of other passwords.
func addKeys(m *made) error {
	for _, word := range []string{"another", "a third"} {
		file := m.password + ".new"
		if err := os.WriteFile(file, []byte(word), 0o600); err != nil {
			return err
		}
		if err := m.restic(nil, "key", "add", "--new-password-file="+file); err != nil {
			return err
		}
	}
	return nil
}

// moreIndexes makes snapshots with more files, and each an index.
func moreIndexes(m *made) error {
	for i := range 3 {
		name := filepath.Join(filepath.Dir(m.home), "more", fmt.Sprint(i))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, random(1<<20, uint64(i)), 0o600), m.restic(nil, "backup", filepath.Dir(name))); err != nil {
			return err
		}
	}
	return nil
}

// prune forgets all snapshots but that of the home, and repacks.
func prune(m *made) error {
	return m.restic(nil, "forget", "--prune", "--max-unused=0", "--keep-last=1", "--path="+m.home)
}

// All that restic writes is read, of both formats and of old and new programs.
func TestFormats(t *testing.T) {
	tests := []struct {
		name string
		how  making
	}{
		{"format 1 of the system's", making{program: systemProgram, init: []string{"--repository-version=1"}}},
		{"format 2 of the system's", making{program: systemProgram, backup: []string{"--compression=max"}}},
		{"format 1", making{program: oursProgram, init: []string{"--repository-version=1"}, before: moreIndexes, after: addKeys}},
		{"not compressed", making{program: oursProgram, init: []string{"--compression=off"}, backup: []string{"--compression=off"}}},
		{"compressed most, several indexes", making{program: oursProgram, before: moreIndexes, backup: []string{"--compression=max"}}},
		{"pruned", making{program: oursProgram, before: moreIndexes, after: func(m *made) error { return firstError(os.RemoveAll(filepath.Join(m.home, "bob/d")), prune(m)) }}},
		{"pruned and changed to format 2", making{program: oursProgram, init: []string{"--repository-version=1"}, before: moreIndexes, after: func(m *made) error {
			return firstError(m.restic(nil, "migrate", "upgrade_repo_v2"), m.restic(nil, "prune", "--repack-uncompressed"))
		}}},
	}
	imgtest.Need(t, oursProgram, systemProgram)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := tt.how.make(t.TempDir())
			must(t, err)
			to := filepath.Join(t.TempDir(), "ours")
			_, err = m.ours(to)
			must(t, err)
			same(t, m.restored, to)
			got, err := m.verify(m.restored)
			must(t, err)
			if diff := cmp.Diff(Verdict{}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			must(t, overwrite(filepath.Join(m.restored, "alice/big"), "!", 2<<20))
			got, err = m.verify(m.restored)
			must(t, err)
			if diff := cmp.Diff(Verdict{Wrong: 1, First: []string{"/alice/big"}}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// tiny is a home whose repository is so small that each of its bytes can be
// changed in turn.
func tiny(dir string) error {
	return firstError(os.MkdirAll(filepath.Join(dir, "a"), 0o755), os.WriteFile(filepath.Join(dir, "a/f"), []byte("text"), 0o600))
}

// Whatever byte of a repository changes, nothing wrong is called right and nothing
// right is called wrong.
func TestEveryByte(t *testing.T) {
	imgtest.Need(t, oursProgram)
	m, err := making{program: oursProgram, fill: tiny}.make(t.TempDir())
	must(t, err)
	good, err := m.verify(m.restored)
	must(t, err)
	if good.Wrong != 0 {
		t.Fatal(good)
	}
	failed, all := 0, 0
	must(t, filepath.WalkDir(m.repo, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(name, "/locks/") {
			return err
		}
		text, err := os.ReadFile(name)
		must(t, err, os.Chmod(name, 0o600))
		for i := 0; i < len(text); i += imgtest.Stride(7) {
			changed := bytes.Clone(text)
			changed[i] ^= 1 << (i % 8)
			must(t, os.WriteFile(name, changed, 0o600))
			all++
			got, err := m.verify(m.restored)
			if err != nil {
				failed++
				if code := firstboot.CodeOf(err); code != firstboot.CodeDamaged || firstboot.HintOf(err) == "" {
					t.Errorf("%s, byte %d: code %d, %v; expected %d", name, i, code, err, firstboot.CodeDamaged)
				}
			} else if diff := cmp.Diff(good, got); diff != "" {
				t.Errorf("%s, byte %d: (-want +got):\n%s", name, i, diff)
			}
		}
		return os.WriteFile(name, text, 0o600)
	}))
	if failed == 0 || failed == all { // packs of data are not read
		t.Errorf("%d of %d changes are errors", failed, all)
	}
}

// damages change a repository.
var damages = []struct {
	name   string
	change func(t *testing.T, m *made, repo string)
	code   firstboot.Code
	want   string
}{
	{"no config", func(t *testing.T, _ *made, repo string) { must(t, os.Remove(filepath.Join(repo, "config"))) }, firstboot.CodeNoRepository, "has no repository of restic in fox"},
	{"no directory", func(t *testing.T, _ *made, repo string) { must(t, os.RemoveAll(repo)) }, firstboot.CodeNoRepository, "has no repository of restic in fox"},
	{"no keys", func(t *testing.T, _ *made, repo string) { must(t, removeAll(repo, "keys/*")) }, firstboot.CodeDamaged, "is damaged: keys: has no key"},
	{"no snapshot", func(t *testing.T, m *made, repo string) { must(t, os.Remove(filepath.Join(repo, "snapshots", m.id))) }, firstboot.CodeNoSnapshot, "snapshots/"},
	{"no index", func(t *testing.T, _ *made, repo string) { must(t, removeAll(repo, "index/*")) }, firstboot.CodeDamaged, "index: tree "},
	{"no packs", func(t *testing.T, _ *made, repo string) { must(t, removeAll(repo, "data/*/*")) }, firstboot.CodeDamaged, "is damaged: data/"},
	{"packs are cut", func(t *testing.T, _ *made, repo string) {
		must(t, eachFile(repo, "data/*/*", func(name string) error { return os.Truncate(name, 32) }))
	}, firstboot.CodeDamaged, "has 32 bytes, expected "},
	{"config of another", func(t *testing.T, m *made, repo string) {
		must(t, eachFile(repo, "snapshots/*", func(name string) error { return copyFile(name, filepath.Join(repo, "config")) }))
	}, firstboot.CodeDamaged, "is damaged: config: "},
	{"snapshot of another name", func(t *testing.T, m *made, repo string) {
		must(t, eachFile(repo, "index/*", func(name string) error { return copyFile(name, filepath.Join(repo, "snapshots", m.id)) }))
	}, firstboot.CodeDamaged, "the SHA-256 of its content is"},
	{"key is a directory", func(t *testing.T, _ *made, repo string) {
		must(t, eachFile(repo, "keys/*", func(name string) error { return firstError(os.Remove(name), os.Mkdir(name, 0o700)) }))
	}, firstboot.CodeDamaged, "is no regular file"},
}

func eachFile(repo, pattern string, do func(name string) error) error {
	names, err := filepath.Glob(filepath.Join(repo, pattern))
	for _, name := range names {
		err = errors.Join(err, os.Chmod(name, 0o600), do(name))
	}
	return err
}

func removeAll(repo, pattern string) error { return eachFile(repo, pattern, os.Remove) }

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	return errors.Join(err, os.Remove(to), os.WriteFile(to, text, 0o600))
}

// What a repository lacks is named by its file and not taken for what the directory
// lacks.
func TestDamaged(t *testing.T) {
	m := wholeRepository(t)
	for _, tt := range damages {
		t.Run(tt.name, func(t *testing.T) {
			c := *m
			c.repo = filepath.Join(t.TempDir(), "repo")
			if out, err := exec.Command("cp", "-a", m.repo, c.repo).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			tt.change(t, m, c.repo)
			_, err := c.verify(m.restored)
			if firstboot.CodeOf(err) != tt.code || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("code %d, %v; expected %d, %s", firstboot.CodeOf(err), err, tt.code, tt.want)
			}
		})
	}
}

// A password is read as restic reads it; a wrong one is no damage.
func TestPasswords(t *testing.T) {
	m := wholeRepository(t)
	for text, code := range map[string]firstboot.Code{
		testPassword: 0, "\n " + testPassword + "\r\n": 0, "\ufeff" + testPassword: 0,
		"\xff\xfec\x00o\x00r\x00r\x00e\x00c\x00t\x00 \x00h\x00o\x00r\x00s\x00e\x00": 0, "\xfe\xff\x00c\x00o\x00r\x00r\x00e\x00c\x00t\x00 \x00h\x00o\x00r\x00s\x00e": 0,
		"wrong": firstboot.CodePassword, "": firstboot.CodePassword,
		strings.Repeat("\n", maxPassword-len(testPassword)-1) + testPassword: 0, strings.Repeat("\n", maxPassword-len(testPassword)) + testPassword: 0,
		strings.Repeat("\n", maxPassword-len(testPassword)+1) + testPassword: firstboot.CodePassword,
	} {
		c := *m
		c.password = filepath.Join(t.TempDir(), "password")
		must(t, os.WriteFile(c.password, []byte(text), 0o600))
		_, err := c.verify(m.restored)
		if got := firstboot.CodeOf(err); got != code || (err != nil) != (code != 0) {
			t.Errorf("%.20q…: code %d, %v; expected %d", text, got, err, code)
		}
	}
}

// What was not asked for is not compared, and directories above it are.
func TestVerifyIncludes(t *testing.T) {
	m := wholeRepository(t)
	all := func(dir string, from string, includes ...string) (Verdict, error) {
		p := Proof{Restoring: Restoring{Snapshot: m.id, From: from, To: dir, Includes: includes}, Name: "/home"}
		return m.repository().Verify(context.Background(), p)
	}
	dir := m.copied(t)
	must(t, remove(filepath.Join(dir, "alice")), remove(filepath.Join(dir, "bob/third name")))
	for _, tt := range []struct {
		from     string
		includes []string
		want     []string
	}{
		{m.home, []string{"/bob/d", "/README"}, nil},
		{m.home, []string{"/bob/d/e/f"}, nil},
		{m.home, []string{"/bob"}, []string{"/bob/third name"}},
		{m.home, []string{"/alice/small"}, []string{"/alice", "/alice/small"}},
		{m.home, []string{}, []string{"/alice", "/alice/U+FFFD \uFFFD"}}, // as restic takes it: everything
		{m.home + "/bob/d", nil, []string{"/e", "/e/f"}},
	} {
		got, err := all(dir, tt.from, tt.includes...)
		must(t, err)
		if diff := cmp.Diff(tt.want, got.First[:min(len(got.First), 2)]); diff != "" || got.Odd != 0 {
			t.Errorf("%s %q: odd %d, (-want +got):\n%s", tt.from, tt.includes, got.Odd, diff)
		}
	}
	for _, from := range []string{m.home + "/nobody", m.home + "/README", m.home + "/alice/link"} {
		if _, err := all(dir, from); firstboot.CodeOf(err) != firstboot.CodeIncomplete || !strings.Contains(fmt.Sprint(err), from+": is no directory of the snapshot") {
			t.Errorf("%s: %v", from, err)
		}
	}
}

// What restic restores of some paths is what is compared of them, and as much.
func TestVerifyIncludesRestored(t *testing.T) {
	m := wholeRepository(t)
	for i, includes := range [][]string{
		{"/bob/d/e"}, {"/void"}, {"/alice/quo\"te\\", "/alice/sparse", "/README"}, {"/bob/second name", "/bob/third name"}, {"/alice/new\nline", "/alice/link", "/bob/d/e/f"}, {},
	} {
		p := Proof{Restoring: Restoring{Snapshot: m.id, From: m.home, To: filepath.Join(t.TempDir(), "some"), Includes: includes}, Name: "/home"}
		var args []string
		for _, at := range includes {
			args = append(args, "--include="+literal(at))
		}
		must(t, m.byRestic(p.To, m.home, args...))
		sum, err := m.repository().Measure(context.Background(), p.Restoring)
		must(t, err)
		p.Files = sum.Files
		by := p.Restoring
		by.To += " ours"
		var told Counts
		if got, err := m.repository().Restore(context.Background(), by, func(c Counts) { told = c }); err != nil || got != sum || told.Files != sum.Files {
			t.Errorf("%d: %q: restored %+v, told %+v, %v; expected %+v", i, includes, got, told, err, sum)
		}
		same(t, p.To, by.To)
		got, err := m.repository().Verify(context.Background(), p)
		must(t, err)
		if diff := cmp.Diff(Verdict{}, got); diff != "" || p.Files == 0 {
			t.Errorf("%d: %q: %d entries, (-want +got):\n%s", i, includes, p.Files, diff)
		}
		p.Files++
		if _, err := m.repository().Verify(context.Background(), p); firstboot.CodeOf(err) != firstboot.CodeIncomplete {
			t.Errorf("%d: %q: %v; expected that an entry is missing", i, includes, err)
		}
	}
}

// literal returns a pattern of restic that fits a path alone, filepath.Match of Go.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// A snapshot with fewer entries than were restored proves nothing.
func TestVerifyCounts(t *testing.T) {
	m := wholeRepository(t)
	sum, err := m.repository().Measure(context.Background(), m.restoring())
	must(t, err)
	n := sum.Files
	for files, code := range map[int64]firstboot.Code{n - 1: 0, n: 0, n + 1: firstboot.CodeIncomplete} {
		var bytes, told int64
		p := Proof{Restoring: m.restoring(), Name: "/home", Files: files, Progress: func(b, f int64) { bytes, told = b, f }}
		_, err := m.repository().Verify(context.Background(), p)
		if firstboot.CodeOf(err) != code {
			t.Errorf("%d of %d: %v; expected code %d", files, n, err, code)
		}
		if bytes != sum.Bytes || told < 9 {
			t.Errorf("progress: %d bytes, %d files; expected %d bytes", bytes, told, sum.Bytes)
		}
	}
}

// A proof that is cancelled ends with the cause.
func TestVerifyCancelled(t *testing.T) {
	m := wholeRepository(t)
	cause := errors.New("the cause")
	ctx, stop := context.WithCancelCause(context.Background())
	p := Proof{Restoring: m.restoring(), Name: "/home", Progress: func(int64, int64) { stop(cause) }}
	before := openFiles(t)
	for range 2 { // the second time before it begins
		if _, err := m.repository().Verify(ctx, p); !errors.Is(err, cause) {
			t.Errorf("%v, expected %v", err, cause)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, expected %d", after, before)
	}
}
