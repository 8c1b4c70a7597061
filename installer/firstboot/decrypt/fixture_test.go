package decrypt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"

	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// hidden is in every value of the tests: nothing that is told may have it.
const hidden = "hunter2"

// The files of secrets, before they are encrypted.
const (
	plainYAML   = "restic: hunter2 of restic\nwifi:\n  home:\n    psk: \"hunter2 line\\n\"\n  empty: \"\"\n  on: true\n"
	plainBinary = "\x00\xffhunter2\r\n\x00"
)

// Where they are in the system.
const (
	yamlFile   = firstboot.SecretsDir + "/secrets.yaml"
	binaryFile = firstboot.SecretsDir + "/token.bin"
)

// machine is a system in a folder.
type machine struct {
	t    *testing.T
	dirs Dirs
	key  *agekey.Key
	c    firstboot.Config
}

// newMachine makes a system with files of secrets for its key. Its users are
// whoever runs the test, named root and bandit.
func newMachine(t *testing.T, list ...firstboot.Secret) *machine {
	t.Helper()
	root := t.TempDir()
	id, err := age.GenerateX25519Identity()
	check(t, err)
	key, err := agekey.Parse([]byte(id.String() + "\n"))
	check(t, err)
	m := &machine{t, Dirs{Root: root, Run: filepath.Join(root, "run"), Mount: noMount}, key, firstboot.Config{Secrets: list}}
	uid, gid := os.Getuid(), os.Getgid()
	m.put(passwdFile, fmt.Sprintf("root:x:%d:%d:root:/root:/bin/sh\nbandit:x:%d:%d::/home/bandit:/bin/sh\n", uid, gid, uid, gid))
	m.put(groupFile, fmt.Sprintf("root:x:%d:\nwheel:x:%d:bandit\n", gid, gid))
	m.put(yamlFile, string(encrypt(t, yamlStore(), plainYAML, id.Recipient().String())))
	m.put(binaryFile, string(encrypt(t, binaryStore(), plainBinary, id.Recipient().String())))
	return m
}

func noMount(string) (string, error) { return "", nil }

// at returns where a file of the system is.
func (m *machine) at(name string) string { return filepath.Join(m.dirs.Root, name) }

func (m *machine) put(name, text string) {
	m.t.Helper()
	check(m.t, os.MkdirAll(filepath.Dir(m.at(name)), 0o755))
	check(m.t, os.WriteFile(m.at(name), []byte(text), 0o600))
}

func (m *machine) symlink(target, name string) {
	m.t.Helper()
	check(m.t, os.MkdirAll(filepath.Dir(m.at(name)), 0o755))
	check(m.t, os.Symlink(target, m.at(name)))
}

// install installs what must succeed.
func (m *machine) install() Report {
	m.t.Helper()
	r, err := Install(&m.c, m.key, m.dirs)
	check(m.t, err)
	return r
}

// refuse wants an error with a code, parts in its text, and nothing of a secret
// in it.
func (m *machine) refuse(code firstboot.Code, parts ...string) {
	m.t.Helper()
	r, err := Install(&m.c, m.key, m.dirs)
	wantProblem(m.t, err, code, parts...)
	if r.Generation != 0 || r.Names != nil {
		m.t.Errorf("the report of a failure has %+v", r)
	}
}

func wantProblem(t *testing.T, err error, code firstboot.Code, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", parts)
	}
	if got := firstboot.CodeOf(err); got != code {
		t.Errorf("code %d; want %d: %v", got, code, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q has no %q", err, part)
		}
	}
	if text := err.Error() + firstboot.HintOf(err); strings.Contains(text, hidden) {
		t.Errorf("the error has a secret in it: %q", text)
	}
}

// wantValue compares a file.
func (m *machine) wantValue(name, want string) {
	m.t.Helper()
	got, err := os.ReadFile(m.at(name))
	if err != nil || string(got) != want {
		m.t.Errorf("%s = %q, %v; want %q", name, got, err, want)
	}
}

// wantGeneration wants one generation to be there, no other, and in use; 0 for
// none. Nothing else may be left in /run.
func (m *machine) wantGeneration(n int) {
	m.t.Helper()
	var want []string
	if n > 0 {
		want = []string{fmt.Sprint(n)}
	}
	if got := m.list("/run/secrets.d"); !equal(got, want) {
		m.t.Errorf("generations %q; want %q", got, want)
	}
	text, err := os.Readlink(m.at("/run/secrets"))
	switch {
	case n == 0 && !errors.Is(err, fs.ErrNotExist):
		m.t.Errorf("/run/secrets leads to %q; want none", text)
	case n > 0 && text != filepath.Join(m.dirs.Run, "secrets.d", fmt.Sprint(n)):
		m.t.Errorf("/run/secrets leads to %q, %v; want generation %d", text, err, n)
	}
	for _, name := range m.list("/run") {
		if name != "secrets" && name != "secrets.d" {
			m.t.Errorf("/run/%s is left", name)
		}
	}
}

func (m *machine) list(name string) (names []string) {
	m.t.Helper()
	entries, err := os.ReadDir(m.at(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func equal(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func yamlStore() sops.Store   { return yaml.NewStore(&config.NewStoresConfig().YAML) }
func binaryStore() sops.Store { return json.NewBinaryStore(&config.NewStoresConfig().JSONBinary) }

// encrypt makes an encrypted file of a plain one, with the library alone.
func encrypt(t testing.TB, store sops.Store, plain, recipient string) []byte {
	t.Helper()
	branches, err := store.LoadPlainFile([]byte(plain))
	check(t, err)
	k, err := sopsage.MasterKeyFromRecipient(recipient)
	check(t, err)
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		Version: "3.13.3", LastModified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		UnencryptedSuffix: sops.DefaultUnencryptedSuffix, KeyGroups: []sops.KeyGroup{{k}},
	}}
	key, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	check(t, errors.Join(errs...))
	cipher := aes.NewCipher()
	mac, err := tree.Encrypt(key, cipher)
	check(t, err)
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, key, tree.Metadata.LastModified.Format(time.RFC3339))
	check(t, err)
	out, err := store.EmitEncryptedFile(tree)
	check(t, err)
	return out
}
