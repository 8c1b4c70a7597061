package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/cmd/sops/common"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/resticrepo"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/profiles"
)

// sopsEncrypt encrypts a plain file as the program sops does, its format by its
// name.
func sopsEncrypt(name string, plain []byte, recipients ...string) ([]byte, error) {
	store := common.DefaultStoreForPath(config.NewStoresConfig(), name)
	branches, err := store.LoadPlainFile(plain)
	if err != nil {
		return nil, err
	}
	var group sops.KeyGroup
	for _, r := range recipients {
		k, err := sopsage.MasterKeyFromRecipient(r)
		if err != nil {
			return nil, err
		}
		group = append(group, k)
	}
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		Version: "3.13.3", LastModified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), UnencryptedSuffix: sops.DefaultUnencryptedSuffix, KeyGroups: []sops.KeyGroup{group},
	}}
	key, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := common.EncryptTree(common.EncryptTreeOpts{DataKey: key, Tree: &tree, Cipher: aes.NewCipher()}); err != nil {
		return nil, err
	}
	return store.EmitEncryptedFile(tree)
}

// cmdSops encrypts a file for the key in another: sops KEY PLAIN FILE.
func cmdSops(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sops KEY PLAIN FILE")
	}
	key, err := agekey.Parse([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	data, err := sopsEncrypt(args[2], []byte(ts.ReadFile(args[1])), key.Recipients()...)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), data, 0o644))
}

// keysFixture is a folder with a key, and a profile whose secrets it opens.
type keysFixture struct {
	t        *testing.T
	dir, key string
}

// password is what the secret of the repository says.
const repositoryPassword = "hunter2 is the password"

func newKeysFixture(t *testing.T) *keysFixture {
	f := &keysFixture{t: t, dir: t.TempDir()}
	t.Chdir(f.dir)
	key, err := generate(false)
	if err != nil {
		t.Fatal(err)
	}
	f.key = f.write("fox.key", key.Text())
	data, err := sopsEncrypt("fox.yaml", []byte("restic:\n  password: "+repositoryPassword+"\nother: hunter2\n"), key.Recipients()...)
	if err != nil {
		t.Fatal(err)
	}
	f.write("profiles/fox.yaml", data)
	f.write("profiles/fox.toml", []byte(`extends = "bandit-minimal"
hostname = "fox"
age = {sources = ["medium"], timeout = 60}
secrets = [{name = "restic", file = "fox.yaml", key = "restic/password"}, {name = "other", file = "fox.yaml", key = "other"}]
restore = {disk = "LABEL=backup", repository = "restic/fox", password = "restic"}
`))
	return f
}

// write writes a file of the fixture and returns its path.
func (f *keysFixture) write(name string, data []byte) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// secretKey matches the beginning of a key, not of a message about one.
var secretKey = regexp.MustCompile(`AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{8}`)

// run runs mkimage and returns its exit code and what it printed. No secret
// may be in that.
func (f *keysFixture) run(args ...string) (code int, out, complaint string) {
	f.t.Helper()
	var o, e bytes.Buffer
	code = run(context.Background(), args, stdio{out: &o, err: &e})
	if all := o.String() + e.String(); strings.Contains(all, "hunter2") || secretKey.MatchString(all) {
		f.t.Errorf("mkimage %q prints a secret: %s", args, all)
	}
	return code, o.String(), e.String()
}

// restic runs the program with the repository and a password, as its owner
// does.
func (f *keysFixture) restic(password string, args ...string) {
	f.t.Helper()
	file := f.write("password", []byte(password))
	cmd := exec.Command("restic", append([]string{"--no-cache", "--repo", filepath.Join(f.dir, "repository"), "--password-file", file}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("restic %q: %v\n%s", args, err, out)
	}
}

// TestKeysCheckRepository opens real repositories.
func TestKeysCheckRepository(t *testing.T) {
	imgtest.Need(t, "restic")
	f := newKeysFixture(t)
	repository := filepath.Join(f.dir, "repository")
	check := func(more ...string) (int, string, string) {
		return f.run(append([]string{"keys", "check", "fox", "--key", f.key, "--repository", "repository"}, more...)...)
	}
	code, _, text := check()
	if code != int(fault.Input) || !strings.Contains(text, "no such file") {
		t.Errorf("no directory: %d, %s", code, text)
	}
	f.write("repository/x", nil)
	if code, _, text = check(); code != int(fault.Input) || !strings.Contains(text, "is no repository of restic") {
		t.Errorf("no repository: %d, %s", code, text)
	}
	if err := os.RemoveAll(repository); err != nil {
		t.Fatal(err)
	}
	f.restic(repositoryPassword, "init")
	if err := resticrepo.CheapKey(repository, repositoryPassword); err != nil {
		t.Fatal(err)
	}
	if code, _, text = check(); code != int(fault.Mismatch) || !strings.Contains(text, "has no snapshot of /home on host fox") {
		t.Errorf("empty: %d, %s", code, text)
	}
	// Variables would name another repository and another password.
	t.Setenv("RESTIC_PASSWORD", "wrong")
	t.Setenv("RESTIC_PASSWORD_COMMAND", "false")
	t.Setenv("RESTIC_REPOSITORY_FILE", "/nowhere")
	backup := func(host, when, path string) {
		for _, name := range []string{"RESTIC_PASSWORD", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE"} {
			old := os.Getenv(name)
			os.Unsetenv(name)
			defer os.Setenv(name, old)
		}
		f.restic(repositoryPassword, "backup", "--host", host, "--time", when, path)
	}
	f.write("data/file", []byte("x"))
	backup("hare", "2026-03-01 10:00:00", filepath.Join(f.dir, "data"))
	if code, _, text = check(); code != int(fault.Mismatch) {
		t.Errorf("of another host alone: %d, %s", code, text)
	}
	backup("fox", "2026-02-01 10:00:00", filepath.Join(f.dir, "data"))
	if code, _, text = check(); code != int(fault.Mismatch) {
		t.Errorf("of another path alone: %d, %s", code, text)
	}
	backup("fox", "2026-01-01 10:00:00", filepath.Join(f.dir, "data"))
	set := []string{"--set", "restore.path=" + filepath.Join(f.dir, "data")}
	code, out, text := check(append(set, "--json")...)
	var got checkedKey
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("%d, %v: %s", code, err, text)
	}
	if r := got.Repository; r == nil || r.Snapshots != 2 || r.Host != "fox" || r.Newest.Time.Format("01-02") != "02-01" || r.Path != repository || len(got.Secrets) != 2 {
		t.Errorf("%s", out)
	}
	if code, out, _ = check(append(set, "--set", "restore.host=hare")...); code != 0 || !strings.Contains(out, "with 1 snapshots of hare.\nThe newest is ") {
		t.Errorf("another host: %d, %s", code, out)
	}
	if code, _, text = check("--restic", "/nowhere/restic"); code != int(fault.Usage) {
		t.Errorf("no program: %d, %s", code, text)
	}
	if code, _, text = check("--set", "restore.password=other"); code != int(fault.Mismatch) || !strings.Contains(text, "the password among the secrets does not open the repository") {
		t.Errorf("another password: %d, %s", code, text)
	}
	if left, err := os.ReadDir(filepath.Join(repository, "locks")); err != nil || len(left) > 0 {
		t.Errorf("locks: %v, %v", left, err)
	}
}

// TestResticIsGiven looks at what the program gets: no lock, and the password
// through a pipe alone.
func TestResticIsGiven(t *testing.T) {
	f := newKeysFixture(t)
	f.write("repository/config", nil)
	fake := f.write("fake", []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >args; env >environment; cat /dev/fd/3 >pipe; echo null\n"))
	if err := os.Chmod(fake, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RESTIC_PASSWORD", "another")
	code, _, text := f.run("keys", "check", "fox", "--key", f.key, "--repository", "repository", "--restic", fake)
	if code != int(fault.Mismatch) || !strings.Contains(text, "has no snapshot") {
		t.Fatalf("%d, %s", code, text)
	}
	got := map[string]string{}
	for _, name := range []string{"args", "environment", "pipe"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(data)
	}
	want := "--repo\n" + filepath.Join(f.dir, "repository") + "\n--no-cache\n--no-lock\n--password-file\n/dev/fd/3\n--json\nsnapshots\n--host\nfox\n"
	if diff := cmp.Diff(want, got["args"]); diff != "" {
		t.Errorf("arguments: -want +got\n%s", diff)
	}
	if strings.Contains(got["environment"], "RESTIC_") || strings.Contains(got["environment"], "hunter2") || got["pipe"] != repositoryPassword {
		t.Errorf("the environment has variables of restic or the password, or the pipe has no password: %q", got["pipe"])
	}
}

// TestKeysCheckFails is about keys and files that do not fit.
func TestKeysCheckFails(t *testing.T) {
	f := newKeysFixture(t)
	other, err := generate(true)
	if err != nil {
		t.Fatal(err)
	}
	f.write("other.key", other.Text())
	f.write("bad.key", []byte("hunter2\n"))
	tests := []struct {
		name, want string
		code       fault.Class
		args       []string
	}{
		{"no key", "--key is missing", fault.Usage, []string{"fox"}},
		{"another key", "key of age: it is age1pq1", fault.Mismatch, []string{"fox", "--key", "other.key"}},
		{"no key in it", "bad.key: line 1: not a secret key", fault.Input, []string{"fox", "--key", "bad.key"}},
		{"not there", "no such file", fault.Input, []string{"fox", "--key", "absent.key"}},
		{"another recipient", "age.recipient", fault.Input, []string{"fox", "--key", f.key, "--set", "age.recipient=" + other.Recipients()[0]}},
		{"no such value", "secrets.other: key", fault.Config, []string{"fox", "--key", f.key, "--set", "secrets.other.key=x"}},
		{"no secrets", "profile bandit-minimal has no secrets", fault.Config, []string{"bandit-minimal", "--key", f.key}},
	}
	for _, tt := range tests {
		code, out, text := f.run(append([]string{"keys", "check"}, tt.args...)...)
		if code != int(tt.code) || !strings.Contains(text, tt.want) || out != "" {
			t.Errorf("%s: %d, %q, %s; want %d, %s", tt.name, code, out, text, tt.code, tt.want)
		}
	}
	whole, err := os.ReadFile("profiles/fox.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cut := bytes.Replace(whole, []byte("data:"), []byte("data:AAAA"), 1)
	f.write("profiles/fox.yaml", cut)
	if code, _, text := f.run("keys", "check", "fox", "--key", f.key); code != int(fault.Input) {
		t.Errorf("a damaged file: %d, %s", code, text)
	}
}

// TestNewestOf is about snapshots in any order.
func TestNewestOf(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	all := []snapshot{
		{"a", day(2), "fox", []string{"/home"}}, {"b", day(4), "fox", []string{"/etc", "/home/ada"}}, {"c", day(3), "fox", []string{"/"}},
		{"d", day(9), "fox", []string{"/homes", "/etc"}}, {"e", day(8), "hare", []string{"/home"}},
	}
	newest, n := newestOf(all, "fox", "/home")
	if newest.ID != "b" || n != 3 {
		t.Errorf("%+v, %d", newest, n)
	}
	if newest, n = newestOf(all, "fox", "/home/ada/x"); newest.ID != "b" || n != 3 {
		t.Errorf("below: %+v, %d", newest, n)
	}
	if newest, n = newestOf(nil, "fox", "/home"); n != 0 {
		t.Errorf("of none: %+v, %d", newest, n)
	}
}

// TestWanted is about where the first boot looks.
func TestWanted(t *testing.T) {
	p := &profiles.Profile{Hostname: "fox", Backup: []profiles.Backup{{Password: "b"}, {Password: "c"}}}
	for i, want := range []wantedBackup{{"b", "fox", "/home"}, {"b", "fox", "/srv"}, {"r", "fox", "/home"}, {"r", "hare", "/data"}} {
		switch i {
		case 1:
			p.Backup[0].Paths = []string{"/srv", "/home"}
		case 2:
			p.Restore.Password = "r"
		case 3:
			p.Restore.Host, p.Restore.Path = "hare", "/data"
		}
		got, err := wanted(p)
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" || err != nil {
			t.Errorf("%d: %v\n%s", i, err, diff)
		}
	}
	if _, err := wanted(&profiles.Profile{}); fault.ClassOf(err) != fault.Config {
		t.Errorf("neither: %v", err)
	}
}

func TestResticError(t *testing.T) {
	exit := func(code string) error { return exec.Command("sh", "-c", "exit "+code).Run() }
	for _, tt := range []struct {
		code, complaint, want string
		class                 fault.Class
	}{
		{"12", "", "does not open the repository", fault.Mismatch},
		{"1", "Fatal: wrong password or no key found\n", "does not open the repository", fault.Mismatch},
		{"10", "", "is no repository", fault.Input},
		{"1", "Fatal: unable to open config file: stat\nIs there a repository at the following location?\n/x\n", "is no repository", fault.Input},
		{"11", "a\nunable to \x1b[31m lock\n\n", `restic: exit status 11: "unable to \x1b[31m lock"`, fault.Input},
	} {
		err := resticError("/r", exit(tt.code), tt.complaint)
		if fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v", tt.code, tt.complaint, err)
		}
	}
	b := &bounded{most: 4}
	fmt.Fprint(b, "abc")
	if n, err := b.Write([]byte("de")); n != 2 || err != nil || b.String() != "abcd" || !b.over {
		t.Errorf("bounded: %d, %v, %q", n, err, b)
	}
}

// FuzzSnapshots reads what may be no list of snapshots.
func FuzzSnapshots(f *testing.F) {
	for _, seed := range []string{"null", "[]", `[{"id":"abc","time":"2026-01-01T00:00:00.123456789+01:00","hostname":"fox","paths":["/home"]}]`, `[{"paths":null}]`, "{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseSnapshots([]byte(text))
		if err != nil {
			if fault.ClassOf(err) != fault.Input {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		newest, n := newestOf(all, "fox", "/home")
		if n > len(all) || n > 0 && newest.Hostname != "fox" || len(newest.ShortID()) > 8 {
			t.Fatalf("%q: %+v, %d", text, newest, n)
		}
	})
}

// TestSecretsDocs wants every code of a first boot to be explained.
func TestSecretsDocs(t *testing.T) {
	source, err := os.ReadFile("../../installer/firstboot/problem.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/secrets.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^\tCode\w+ +Code = (\d+)`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 17 {
		t.Fatalf("%d codes; want all", len(codes))
	}
	for _, code := range codes {
		if !strings.Contains(string(text), "\n| "+code[1]+" | ") {
			t.Errorf("docs/secrets.md does not explain code %s", code[1])
		}
	}
}
