package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// patient is a system in a folder.
type patient struct {
	t     *testing.T
	root  string
	key   *age.X25519Identity // that opens its secrets
	calls []string            // of systemctl

	program string // how it is typed
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	p := &patient{t: t, root: t.TempDir(), key: key}
	c := firstboot.Config{
		Version: firstboot.ConfigVersion, Image: "demo 00", Hostname: "demo",
		Age:     &firstboot.Age{Recipients: []string{key.Recipient().String()}, Path: config.KeyPath, ESP: "/boot"},
		Secrets: []firstboot.Secret{{Name: "password", File: firstboot.SecretsDir + "/s.yaml", Format: "yaml", Key: "password", Owner: "root", Mode: 0o400}},
		Restore: &firstboot.Restore{Disk: "LABEL=backup", Repository: "restic/demo", Host: "demo", Path: "/home", Password: "password"},
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p.write(firstboot.ConfigPath, text)
	return p
}

func (p *patient) write(name string, text []byte) {
	p.t.Helper()
	name = filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// run runs the program and returns its exit code and what it printed.
func (p *patient) run(input string, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	var out, errs bytes.Buffer
	s := system{root: p.root, program: p.program, in: strings.NewReader(input), out: &out, err: &errs, systemctl: func(_ context.Context, args ...string) error {
		p.calls = append(p.calls, strings.Join(args, " "))
		return nil
	}}
	code = run(context.Background(), args, s)
	return code, out.String(), errs.String()
}

// expect runs the program and wants an exit code and a text in what it prints.
func (p *patient) expect(input string, code int, text string, args ...string) {
	p.t.Helper()
	got, stdout, stderr := p.run(input, args...)
	if got != code || !strings.Contains(stdout+stderr, text) {
		p.t.Errorf("%q = %d\n%s%s\nwant %d and %q", args, got, stdout, stderr, code, text)
	}
}

func TestImport(t *testing.T) {
	p := newPatient(t)
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := agekey.Encrypt([]byte(p.key.String()), []byte("pass"))
	if err != nil {
		t.Fatal(err)
	}
	p.expect("", int(firstboot.CodeNotYet), "not begun", "status")
	p.expect("", int(firstboot.CodeNotYet), "waits for the age key", "status")
	p.expect("", int(firstboot.CodeNotYet), "backup disk LABEL=backup: is not there", "status")
	p.expect("nonsense\n", int(firstboot.CodeBadKey), "line 1", "import", "-")
	p.expect(other.String()+"\n", int(firstboot.CodeOtherKey), other.Recipient().String(), "import", "-")
	p.expect("", int(firstboot.CodeOtherKey), p.key.Recipient().String(), "status")
	p.expect(string(encrypted), int(firstboot.CodeNoKey), "needs its passphrase", "import", "-")
	p.expect("", int(firstboot.CodeNoKey), "there is no key medium", "import", "--medium")
	p.expect("", 2, "there is nobody to ask", "import")
	if len(p.calls) > 0 {
		t.Errorf("without a key it called systemctl %q", p.calls)
	}
	p.expect("# mine\r\n"+p.key.String()+"\r\n", 0, "age key from the input: installed as /var/lib/sops-nix/key.txt", "import", "-")
	if want := "restart mkimage-secrets.service"; len(p.calls) != 1 || p.calls[0] != want {
		t.Errorf("systemctl was called with %q; want %q alone, as the backup disk is not there", p.calls, want)
	}
	key, err := os.ReadFile(filepath.Join(p.root, config.KeyPath))
	if err != nil || !strings.Contains(string(key), p.key.String()) {
		t.Errorf("key file: %v", err)
	}
	p.expect("", int(firstboot.CodeNotYet), "plug it in", "status")
	p.write("/dev/disk/by-label/backup", nil)
	if _, out, _ := p.run("", "status"); strings.Contains(out, "plug it in") {
		t.Errorf("the disk is there, and status says\n%s", out)
	}
	p.expect(p.key.String(), 0, "kept as", "import", "-")
	if want := "start --no-block mkimage-restore.service"; p.calls[len(p.calls)-1] != want {
		t.Errorf("systemctl was called with %q; want %q last", p.calls, want)
	}
}

// TestImportMedium: a key medium that stays plugged in restarts nothing at the next boot.
func TestImportMedium(t *testing.T) {
	imgtest.Need(t, "mkfs.fat", "mcopy")
	p := newPatient(t)
	node := filepath.Join(p.root, "dev/disk/by-partlabel", config.KeyLabel)
	p.write("/dev/disk/by-partlabel/other", nil) // makes the folder
	for _, args := range [][]string{{"mkfs.fat", "-s", "1", "-F", "32", "-C", node, "40960"}, {"mcopy", "-i", node, "-", "::/" + config.KeyFile}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(p.key.String() + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	p.expect("", 0, "installed as", "import", "--medium")
	if want := []string{"restart mkimage-secrets.service"}; !slices.Equal(p.calls, want) {
		t.Errorf("systemctl was called with %q; want %q", p.calls, want)
	}
	p.calls = nil
	p.expect("", 0, "kept as", "import", "--medium")
	if len(p.calls) > 0 {
		t.Errorf("for a key that is there it called systemctl %q", p.calls)
	}
}

// TestTyped: where the program is not in the search path all hints have its
// path, once, also those that were noted before.
func TestTyped(t *testing.T) {
	const path = "/var/lib/mkimage/bin/mkimage-firstboot"
	p := newPatient(t)
	p.program = path
	for range 2 {
		p.expect("", int(firstboot.CodeNoKey), "hint: plug it in, or name a file: "+path+" import FILE", "import", "--medium")
	}
	notice, err := os.ReadFile(filepath.Join(p.root, "run/issue.d/80-mkimage.issue"))
	if text := string(notice); err != nil || !strings.Contains(text, "("+path+" status)") || !strings.Contains(text, ": "+path+" import") {
		t.Errorf("notice: %v\n%s", err, notice)
	}
}

// TestNotice: what is missing is told at the login, and no more when it is
// there. Then units find that there is nothing to do.
func TestNotice(t *testing.T) {
	p := newPatient(t)
	complete := func() bool {
		_, err := os.Lstat(filepath.Join(p.root, firstboot.CompletePath))
		return err == nil
	}
	p.expect("", 0, "age-key", "status", "--announce")
	text, err := os.ReadFile(filepath.Join(p.root, notices[0]))
	if err != nil || !strings.Contains(string(text), "mkimage-firstboot status") {
		t.Errorf("notice %q, %v", text, err)
	}
	state, err := firstboot.ReadState(durable.OS(p.root))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{firstboot.StepKey, firstboot.StepSecrets, firstboot.StepRestore} {
		if err := state.Record(durable.OS(p.root), firstboot.Step{Name: name, Result: firstboot.Done, Image: "demo 00"}); err != nil {
			t.Fatal(err)
		}
	}
	if complete() {
		t.Error("it is complete before anybody has looked")
	}
	p.expect("", 0, "done", "status", "--announce")
	if !complete() {
		t.Errorf("no %s, though all is done", firstboot.CompletePath)
	}
	for _, name := range notices {
		if _, err := os.Lstat(filepath.Join(p.root, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if err := state.Record(durable.OS(p.root), firstboot.Step{Name: firstboot.StepSecrets, Result: firstboot.Failed}); err != nil {
		t.Fatal(err)
	}
	p.expect("", 0, "failed", "status", "--announce")
	if complete() {
		t.Errorf("%s is there, though a step has failed", firstboot.CompletePath)
	}
}

// TestReady: nothing is backed up before it is restored.
func TestReady(t *testing.T) {
	p := newPatient(t)
	p.expect("", int(firstboot.CodeNotYet), "/home is not restored yet", "ready")
	files := durable.OS(p.root)
	state, err := firstboot.ReadState(files)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Record(files, firstboot.Step{Name: firstboot.StepRestore, Result: firstboot.Failed, Image: "demo 00"}); err != nil {
		t.Fatal(err)
	}
	p.expect("", int(firstboot.CodeNotYet), "not backed up", "ready")
	if err := state.Record(files, firstboot.Step{Name: firstboot.StepRestore, Result: firstboot.Failed, Code: int(firstboot.CodeNotPristine)}); err != nil {
		t.Fatal(err)
	}
	p.expect("", 0, "", "ready")
	if err := state.Record(files, firstboot.Step{Name: firstboot.StepRestore, Result: firstboot.Running}); err != nil {
		t.Fatal(err)
	}
	p.expect("", int(firstboot.CodeNotYet), "not backed up", "ready")
	if err := state.Record(files, firstboot.Step{Name: firstboot.StepRestore, Result: firstboot.Done, Image: "demo 00"}); err != nil {
		t.Fatal(err)
	}
	p.expect("", 0, "", "ready")
	if err := os.Remove(filepath.Join(p.root, firstboot.ConfigPath)); err != nil {
		t.Fatal(err)
	}
	p.expect("", 0, "", "ready")
	p.expect("", 4, "nothing is to be done", "status")
}

// TestRestoreWaits: without its password or its disk a restore waits, and does
// not fail.
func TestRestoreWaits(t *testing.T) {
	p := newPatient(t)
	p.expect("", int(firstboot.CodeNotYet), "mkimage-firstboot import", "restore")
	p.write("/run/secrets/password", []byte("x"))
	p.expect("", int(firstboot.CodeNoDisk), "backup", "restore")
	state, err := firstboot.ReadState(durable.OS(p.root))
	if err != nil {
		t.Fatal(err)
	}
	var results []string
	for _, step := range state.Steps() {
		results = append(results, step.Name+" "+step.Result)
	}
	if got, want := strings.Join(results, ", "), "restore running, restore waiting, restore running, restore waiting"; got != want {
		t.Errorf("the journal has %q; want %q", got, want)
	}
}

func TestUsage(t *testing.T) {
	p := newPatient(t)
	p.expect("", 2, "--help lists the commands", "no-such")
	p.expect("", 2, "unknown flag", "status", "--no-such")
	p.expect("", 0, "mkimage-firstboot status", "--help")
	p.expect("", 20, `"code":20`, "--json", "import", "--medium")
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1024.0 KiB", 1 << 20: "1.0 MiB", 5 << 40: "5.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s; want %s", n, got, want)
		}
	}
}
