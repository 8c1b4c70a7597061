package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	sopsconfig "github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/yaml"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/resticrepo"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/preflight"
	"github.com/6FaNcY9/mkimage/installer/programs"
)

// packedRestic writes the restic that is put into images beside the repository of
// the tests, once.
func packedRestic(dir string) (string, error) {
	name := filepath.Join(dir, "restic")
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	p, err := programs.Load()
	if err != nil {
		return "", err
	}
	return name, os.WriteFile(name, p.Restic, 0o755)
}

// hunter2 is in every value that nothing may print.
const hunter2 = "hunter2"

const secretsFile = firstboot.SecretsDir + "/s.yaml"

// asProgram is the variable that makes the test binary the program itself.
const asProgram = "MKIMAGE_TEST_PROGRAM"

// repoDir is what the tests share, once it is made.
var repoDir string

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "1" {
		os.Exit(run(context.Background(), os.Args[1:], system{root: "/", in: os.Stdin, out: os.Stdout, err: os.Stderr}))
	}
	code := m.Run()
	if repoDir != "" {
		os.RemoveAll(repoDir)
	}
	os.Exit(code)
}

// testRepository is a repository with two snapshots of a home on demo.
var testRepository = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "prove-test"); err != nil {
		return "", err
	}
	repoDir = dir
	big := make([]byte, 5<<20)
	r := rand.NewPCG(1, 0)
	for i := range big {
		big[i] = byte(r.Uint64())
	}
	if err := errors.Join(
		os.MkdirAll(dir+"/home/alice", 0o755), os.WriteFile(dir+"/home/alice/big", big, 0o644),
		os.WriteFile(dir+"/password", []byte(hunter2+" of restic"), 0o600),
	); err != nil {
		return "", err
	}
	restic := func(args ...string) error {
		cmd := exec.Command("restic", append([]string{"--repo=" + dir + "/repo", "--password-file=" + dir + "/password", "--no-cache"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("restic %q: %w: %s", args, err, out)
		}
		return nil
	}
	if err := restic("init"); err != nil {
		return "", err
	}
	if err := resticrepo.CheapKey(dir+"/repo", hunter2+" of restic"); err != nil {
		return "", err
	}
	for range 2 {
		if err := restic("backup", "--host=demo", dir+"/home"); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// candidate is a system that is not installed yet, its key and its backup disk.
type candidate struct {
	t    *testing.T
	root string
	key  *age.X25519Identity
	c    firstboot.Config
	disk string   // the directory that has what is on the backup disk
	args []string // of prove
	home string   // which was backed up
}

func newCandidate(t *testing.T) *candidate {
	t.Helper()
	imgtest.Need(t, "restic", "cp")
	dir, err := testRepository()
	must(t, err)
	key, err := age.GenerateX25519Identity()
	must(t, err)
	restic, err := packedRestic(dir)
	must(t, err)
	top := t.TempDir()
	p := &candidate{t: t, root: top + "/@", disk: top + "/disk", key: key, home: dir + "/home"}
	p.c = firstboot.Config{
		Version: firstboot.ConfigVersion, Image: "demo 00", Hostname: "demo",
		Age: &firstboot.Age{Recipients: []string{key.Recipient().String()}, Path: config.KeyPath, ESP: "/boot"},
		Secrets: []firstboot.Secret{
			{Name: "other", File: secretsFile, Format: "yaml", Key: "a/b", Owner: "root", Mode: 0o400},
			{Name: "password", File: secretsFile, Format: "yaml", Key: "restic", Owner: "root", Mode: 0o400},
		},
		Restore: &firstboot.Restore{Disk: "LABEL=no such disk", Repository: "restic/demo", Host: "demo", Path: p.home, Password: "password"},
	}
	p.secrets(hunter2 + " of restic")
	p.write("@/usr/lib/os-release", "")
	must(t, os.MkdirAll(p.root+"/usr/lib/mkimage", 0o755), os.Symlink(restic, p.root+"/usr/lib/mkimage/restic"), os.MkdirAll(p.disk+"/restic", 0o755))
	if out, err := exec.Command("cp", "-a", dir+"/repo", p.disk+"/restic/demo").CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	p.args = []string{"--key-file", "-", "--backup-disk", p.disk, "--space", "100000000000"}
	return p
}

// secrets makes the file of secrets anew.
func (p *candidate) secrets(password string) {
	p.t.Helper()
	p.write("@"+secretsFile, string(encrypted(p.t, fmt.Sprintf("restic: %q\na:\n  b: hunter2 b\n", password), p.key.Recipient().String())))
}

// write writes a file beside the disk and the root.
func (p *candidate) write(name, text string) {
	p.t.Helper()
	name = filepath.Join(filepath.Dir(p.root), name)
	must(p.t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o600))
}

// config writes the configuration.
func (p *candidate) config(name string) {
	p.t.Helper()
	text, err := json.Marshal(p.c)
	must(p.t, err)
	p.write(name, string(text))
}

// prove runs the program and returns its findings, which mean its exit code.
func (p *candidate) prove(input string, more ...string) []preflight.Finding {
	p.t.Helper()
	code, out := p.run(input, append([]string{"--json"}, more...)...)
	var r preflight.Report
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		p.t.Fatalf("exit code %d, %v\n%s", code, err, out)
	}
	if want := preflight.FirstCode(r.Findings); code != want {
		p.t.Errorf("exit code %d; want %d of\n%s", code, want, out)
	}
	return r.Findings
}

// run runs the program. Nothing that it prints has a secret in it.
func (p *candidate) run(input string, more ...string) (code int, stdout string) {
	p.t.Helper()
	var out, errs bytes.Buffer
	s := system{root: "/", in: strings.NewReader(input), out: &out, err: &errs}
	code = run(context.Background(), append(append([]string{"prove", "--root", p.root}, p.args...), more...), s)
	for _, secret := range []string{hunter2, p.key.String()} {
		if strings.Contains(out.String()+errs.String(), secret) {
			p.t.Errorf("it prints a secret:\n%s%s", &out, &errs)
		}
	}
	return code, out.String() + errs.String()
}

// told is findings in short: name, mark and code of each.
func told(list []preflight.Finding) string {
	var words []string
	for _, f := range list {
		mark := "+"
		if !f.OK {
			if mark = fmt.Sprintf("=%d", f.Code); f.Warning {
				mark = "?"
			}
		}
		words = append(words, f.Name+mark)
	}
	return strings.Join(words, " ")
}

// encrypted encrypts YAML as sops does.
func encrypted(t *testing.T, plain, recipient string) []byte {
	t.Helper()
	store := yaml.NewStore(&sopsconfig.YAMLStoreConfig{})
	branches, err := store.LoadPlainFile([]byte(plain))
	must(t, err)
	k, err := sopsage.MasterKeyFromRecipient(recipient)
	must(t, err)
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		Version: "3.13.3", LastModified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		UnencryptedSuffix: sops.DefaultUnencryptedSuffix, KeyGroups: []sops.KeyGroup{{k}},
	}}
	key, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	must(t, errs...)
	cipher := aes.NewCipher()
	mac, err := tree.Encrypt(key, cipher)
	must(t, err)
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, key, tree.Metadata.LastModified.Format(time.RFC3339))
	must(t, err)
	out, err := store.EmitEncryptedFile(tree)
	must(t, err)
	return out
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
