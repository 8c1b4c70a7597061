package storedb

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// golden is a binary cache of 13 paths, with what Nix says of them.
const golden = "../testdata/golden"

// realStore is a store of the installed Nix in a folder.
type realStore struct {
	t   *testing.T
	dir string
	env []string
}

// newStore returns a store in a folder that Nix has not made yet. No
// configuration of this machine counts, and no root is needed.
func newStore(t *testing.T) realStore {
	t.Helper()
	imgtest.Need(t, "nix-store", "nix", "nix-build")
	dir := t.TempDir()
	for _, d := range []string{"home", "conf"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // objects are read-only
		filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(name, 0o755)
			}
			return nil
		})
	})
	return realStore{t, filepath.Join(dir, "store"), []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "NIX_CONF_DIR=" + filepath.Join(dir, "conf"),
		"NIX_CONFIG=build-users-group =\nsubstituters =\n",
	}}
}

func (s realStore) db() string { return filepath.Join(s.dir, "nix/var/nix/db/db.sqlite") }

// try runs a command of Nix on the store and returns its standard output.
func (s realStore) try(stdin []byte, args ...string) (string, error) {
	args = slices.Insert(args, 1, "--store", s.dir)
	if args[0] == "nix" {
		args = slices.Insert(args, 1, "--extra-experimental-features", "nix-command")
	}
	cmd := exec.CommandContext(s.t.Context(), args[0], args[1:]...)
	var stderr strings.Builder
	cmd.Env, cmd.Stdin, cmd.Stderr = s.env, bytes.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), err
}

func (s realStore) run(args ...string) string {
	s.t.Helper()
	out, err := s.try(nil, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// replace puts a database of ours in the place of Nix' own.
func (s realStore) replace(objects []Object) {
	s.t.Helper()
	for _, suffix := range append([]string{""}, suffixes...) {
		if err := os.Remove(s.db() + suffix); err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
	}
	if err := Write(s.t.Context(), s.db(), objects); err != nil {
		s.t.Fatal(err)
	}
}

func goldenText(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(golden, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// copied returns a store with the objects of the golden cache.
func copied(t *testing.T) realStore {
	s := newStore(t)
	cache := t.TempDir() // Nix makes folders in the cache that it reads
	if err := os.CopyFS(cache, os.DirFS(filepath.Join(golden, "cache-zstd"))); err != nil {
		t.Fatal(err)
	}
	// Here --to is the store.
	cmd := exec.CommandContext(t.Context(), "nix", "--extra-experimental-features", "nix-command", "copy", "--from", "file://"+cache, "--to", s.dir,
		"--option", "trusted-public-keys", goldenText(t, "key.pub"), goldenText(t, "toplevel"))
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nix copy: %v\n%s", err, out)
	}
	return s
}

// dump is what nix-store --dump-db says, by path.
func dump(t *testing.T, text string) map[string]string {
	t.Helper()
	entries := map[string]string{}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for len(lines) >= 5 {
		n, err := strconv.Atoi(lines[4])
		if err != nil || len(lines) < 5+n {
			t.Fatalf("dump of %s: %q references", lines[0], lines[4])
		}
		entries[lines[0]] = strings.Join(lines[1:5+n], "\n")
		lines = lines[5+n:]
	}
	return entries
}

// dumped writes objects as nix-store --dump-db does.
func dumped(objects []Object) map[string]string {
	entries := map[string]string{}
	for _, o := range objects {
		deriver := ""
		if !o.Deriver.IsZero() {
			deriver = o.Deriver.String()
		}
		lines := []string{hex.EncodeToString(o.NarHash[:]), strconv.FormatInt(o.NarSize, 10), deriver, strconv.Itoa(len(o.References))}
		for _, p := range o.References {
			lines = append(lines, p.String())
		}
		entries[o.Path.String()] = strings.Join(lines, "\n")
	}
	return entries
}

// some are three of the golden paths: one that most refer to, one that refers to
// itself, and the whole system. Each command of Nix takes a while.
func some(t *testing.T) (paths []string) {
	all := strings.Fields(goldenText(t, "store-paths"))
	for _, suffix := range []string{"-debian-userland-12", "-edge-cases", filepath.Base(goldenText(t, "toplevel"))} {
		i := slices.IndexFunc(all, func(p string) bool { return strings.HasSuffix(p, suffix) })
		if i < 0 {
			t.Fatalf("no golden path ends in %s", suffix)
		}
		paths = append(paths, all[i])
	}
	return paths
}

// answers asks Nix everything that its database says.
func (s realStore) answers() map[string]string {
	got := map[string]string{
		"dump":   s.run("nix-store", "--dump-db"),
		"verify": s.run("nix-store", "--verify", "--check-contents"),
		"info":   registered.ReplaceAllString(s.run("nix", "path-info", "--json", "--all"), ""),
	}
	paths := some(s.t)
	for question, p := range map[string]string{"--requisites": paths[2], "--references": paths[2], "--referrers": paths[0], "--deriver": paths[1]} {
		lines := strings.Split(s.run("nix-store", "-q", question, p), "\n")
		slices.Sort(lines) // the ids are not ours to keep
		got[question] = strings.Join(lines, "\n")
	}
	return got
}

func TestReadRealStore(t *testing.T) {
	s := copied(t)
	before := folder(t, s.db())
	objects, err := Read(t.Context(), s.db())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, folder(t, s.db())); diff != "" {
		t.Errorf("reading changed the folder (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(dump(t, s.run("nix-store", "--dump-db")), dumped(objects)); diff != "" {
		t.Errorf("Read (-nix +got):\n%s", diff)
	}
	if diff := cmp.Diff(dump(t, goldenText(t, "dump-db")), dumped(objects)); diff != "" {
		t.Errorf("Read (-golden +got):\n%s", diff)
	}
	for _, o := range objects {
		if len(o.Sigs) != 1 || !strings.HasPrefix(o.Sigs[0], "fixture-1:") || o.CA != "" || o.Ultimate {
			t.Errorf("%s: signatures %q, content address %q, ultimate %v; want those of a copy", o.Path, o.Sigs, o.CA, o.Ultimate)
		}
	}
	for _, text := range some(t) {
		root, err := nix.ParseStorePath(text)
		if err != nil {
			t.Fatal(err)
		}
		part, err := Closure(t.Context(), s.db(), root)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range part {
			got = append(got, p.Path.String())
		}
		want := strings.Fields(s.run("nix-store", "-q", "--requisites", text))
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("closure of %s (-nix +got):\n%s", root, diff)
		}
	}
}

// built are three paths of all kinds of rows that a copy does not have: a
// derivation, what was built of it, by a builder that needs no program, and a
// file that was added.
func built(t *testing.T) (s realStore, nixFile string) {
	s = newStore(t)
	nixFile = filepath.Join(t.TempDir(), "default.nix")
	text := `derivation { name = "empty"; system = "builtin"; builder = "builtin:buildenv"; derivations = []; manifest = "/dummy"; }`
	if err := os.WriteFile(nixFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run("nix-build", nixFile, "--no-out-link")
	s.run("nix-store", "--add-fixed", "sha256", nixFile)
	return s, nixFile
}

// TestNullsOfNix: what Write makes of the rows of Nix is column for column the
// same, with each NULL.
func TestNullsOfNix(t *testing.T) {
	s, nixFile := built(t)
	objects, err := Read(t.Context(), s.db())
	if err != nil || len(objects) != 3 {
		t.Fatalf("Read = %d objects, %v; want 3", len(objects), err)
	}
	for i, query := range []string{
		"select path, hash, narSize, quote(deriver), quote(ultimate), quote(sigs), quote(ca) from ValidPaths order by path",
		"select a.path, b.path from Refs r, ValidPaths a, ValidPaths b where a.id = r.referrer and b.id = r.reference",
		"select p.path, d.id, d.path from DerivationOutputs d, ValidPaths p where p.id = d.drv",
	} {
		want := listing(t, s.db(), query)
		if diff := cmp.Diff(want, listing(t, written(t, objects), query)); diff != "" || len(want) == 0 && i != 1 {
			t.Errorf("%s (-nix +ours):\n%s", query, diff)
		}
	}
	s.replace(objects)
	s.run("nix-build", nixFile, "--no-out-link") // fails where outputs are not known
	s.run("nix-store", "--verify", "--check-contents")
	s.run("nix-store", "--gc")
	if left := s.run("nix-store", "--dump-db"); left != "" {
		t.Errorf("left after a garbage collection:\n%s", left)
	}
}

// TestNixTakesOurs puts our database in the place of Nix' own.
func TestNixTakesOurs(t *testing.T) {
	s := copied(t)
	before := s.answers()
	objects, err := Read(t.Context(), s.db())
	if err != nil {
		t.Fatal(err)
	}
	s.replace(objects)
	if diff := cmp.Diff(before, s.answers()); diff != "" {
		t.Errorf("answers of Nix (-its own +ours):\n%s", diff)
	}
	s.run("nix", "store", "verify", "--all", "--sigs-needed", "1", "--trusted-public-keys", goldenText(t, "key.pub"))
	s.collect(len(objects))
}

// collect has Nix add, keep and delete paths of our database.
func (s realStore) collect(n int) {
	t, top := s.t, goldenText(s.t, "toplevel")
	dead := func() int { return len(strings.Fields(s.run("nix-store", "--gc", "--print-dead"))) }
	if got := dead(); got != n {
		t.Errorf("%d dead paths without a root; want %d", got, n)
	}
	root := filepath.Join(s.dir, "nix/var/nix/gcroots/system")
	if err := os.Symlink(top, root); err != nil {
		t.Fatal(err)
	}
	if got := dead(); got != 0 {
		t.Errorf("%d dead paths with a root; want 0", got)
	}
	file := filepath.Join(t.TempDir(), "added")
	if err := os.WriteFile(file, []byte("content\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	added := strings.TrimSpace(s.run("nix-store", "--add", file))
	objects, err := Read(t.Context(), s.db())
	if err != nil || len(objects) != n+1 || !slices.ContainsFunc(objects, func(o Object) bool { return o.Path.String() == added && o.CA != "" }) {
		t.Errorf("Read = %d objects, %v after nix-store --add; want %d with %s", len(objects), err, n+1, added)
	}
	if id := one[int](t, s.db(), "select max(id) from ValidPaths"); id != n+1 {
		t.Errorf("nix-store --add took the id %d; want %d", id, n+1)
	}
	s.run("nix-store", "--gc")
	if got, want := len(dump(t, s.run("nix-store", "--dump-db"))), n; got != want {
		t.Errorf("%d paths after a garbage collection; want %d", got, want)
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	s.run("nix-store", "--gc") // of paths that refer to themselves too, by the trigger
	if left := s.run("nix-store", "--dump-db"); left != "" {
		t.Errorf("left after a garbage collection without roots:\n%s", left)
	}
	if n := one[int](t, s.db(), "select count(*) from Refs"); n != 0 {
		t.Errorf("%d rows of Refs are left; want 0", n)
	}
}

// TestNixRefusesUnsigned: the check of signatures above would see their absence.
func TestNixRefusesUnsigned(t *testing.T) {
	s := copied(t)
	objects, err := Read(t.Context(), s.db())
	if err != nil {
		t.Fatal(err)
	}
	objects[3].Sigs = nil
	s.replace(objects)
	_, err = s.try(nil, "nix", "store", "verify", "--all", "--sigs-needed", "1", "--trusted-public-keys", goldenText(t, "key.pub"))
	if err == nil || !strings.Contains(err.Error(), objects[3].Path.String()) {
		t.Errorf("nix store verify = %v; want %s untrusted", err, objects[3].Path)
	}
}

// TestNixOfThousands: Nix finds its way through trees of pages of several levels.
func TestNixOfThousands(t *testing.T) {
	s := newStore(t)
	s.run("nix-store", "--dump-db") // makes the store
	objects := many(3000, 6)
	s.replace(objects)
	if diff := cmp.Diff(dumped(byPath(objects)), dump(t, s.run("nix-store", "--dump-db"))); diff != "" {
		t.Errorf("dump (-want +nix):\n%s", diff)
	}
	last := objects[len(objects)-1].Path
	want := strings.Fields(s.run("nix-store", "-q", "--requisites", last.String()))
	got, err := Closure(t.Context(), s.db(), last)
	if err != nil || len(got) != len(want) {
		t.Errorf("Closure = %d objects, %v; want %d", len(got), err, len(want))
	}
	var referrers []nix.StorePath
	for _, o := range objects {
		if slices.Contains(o.References, objects[0].Path) {
			referrers = append(referrers, o.Path)
		}
	}
	if got := strings.Fields(s.run("nix-store", "-q", "--referrers", objects[0].Path.String())); len(got) != len(referrers) {
		t.Errorf("%d referrers; want %d", len(got), len(referrers))
	}
}
