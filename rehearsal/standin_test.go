package rehearsal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

var yes = true

// fox is a subject that has a bit of everything.
func fox() *Subject {
	return &Subject{
		Installer: profiles.Profile{Name: "fox-installer", Kind: profiles.KindInstaller, Payload: "fox", Rescue: profiles.Rescue{Enable: &yes}, Installer: profiles.Installer{
			Disk: profiles.DiskRules{Bus: []string{"sata"}, Serial: []string{"S4*"}, Layout: true}, Machine: profiles.Machine{Serial: "FRAN1"},
		}},
		System: profiles.Profile{
			Name: "fox", Hostname: "fox", Source: "debian:trixie", Boot: profiles.Boot{Loader: "systemd-boot"}, Kernel: profiles.Kernel{Parameters: []string{"quiet"}},
			Users: []profiles.User{{Name: "ann", UID: 1000}, {Name: "bob", UID: 1001}},
			Age:   profiles.Age{Recipient: "age1x", Sources: []string{"esp"}},
			Secrets: []profiles.Secret{
				{Name: "restic-password", File: "a.yaml", Key: "backup/password"}, {Name: "token", File: "a.yaml", Key: "web/token", Mode: "0440", Owner: "ann", Group: "sudo"},
				{Name: "blob", File: "b.bin"}, {Name: "s3", File: "c.yaml", Key: "password"},
			},
			Restore: profiles.Restore{Disk: "UUID=12", Repository: "restic/fox", Password: "restic-password"},
			Backup:  []profiles.Backup{{Name: "far", Repository: "s3:x", Password: "restic-password", Environment: "s3"}},
		},
		SystemRef: "builtin:fox",
	}
}

// loader loads profiles by their names, those of a directory first.
func loader(t *testing.T, dir string) func(name string) profiles.Profile {
	return func(name string) profiles.Profile {
		t.Helper()
		p, _, err := profiles.Load(dir).Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

func TestProfiles(t *testing.T) {
	s := fox()
	text, changed := s.systemProfile(&testKey{recipient: "age1test"}, []standIn{{secret: profiles.Secret{Name: "token", File: "/tmp/a \"b\".yaml"}}, {secret: profiles.Secret{Name: "blob", File: "/tmp/c"}}})
	want := `extends = "builtin:fox"

[age]
recipient = "age1test"
sources = ["medium"]

[restore]
disk = "LABEL=rehearsal"

[boot]
timeout = 3

[kernel]
parameters = ["console=ttyS0,115200"]

[[secrets]]
name = "token"
file = "/tmp/a \"b\".yaml"

[[secrets]]
name = "blob"
file = "/tmp/c"
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("system (-want +got):\n%s", diff)
	}
	if len(changed) != 6 {
		t.Errorf("%d changes are told; want 6: %q", len(changed), changed)
	}
	text, changed = s.installerProfile()
	want = `extends = "fox-installer"
payload = "fox-rehearsal"

[installer.disk]
serial = ["!*"]
bus = ["nvme"]
layout = false

[installer.machine]
serial = ""
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("installer (-want +got):\n%s", diff)
	}
	if len(changed) != 4 {
		t.Errorf("%d changes are told; want 4: %q", len(changed), changed)
	}
}

// TestProfilesResolve: what is made is what package profiles takes.
func TestProfilesResolve(t *testing.T) {
	dir := t.TempDir()
	base := map[string]string{
		"fox.toml": `extends = "builtin:bandit-minimal"
hostname = "fox"
[age]
recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
sources = ["medium"]
timeout = 20
[[secrets]]
name = "restic-password"
file = "a.yaml"
key = "password"
[restore]
disk = "UUID=0a1b2c3d-0000-4000-8000-000000000000"
repository = "restic"
password = "restic-password"
`,
		"fox-installer.toml": `extends = "builtin:bandit-installer"
payload = "fox"
[installer.disk]
serial = ["S4*"]
model = ["Samsung*"]
bus = ["!*", "sata"]
[installer.machine]
product = "Laptop"
`,
	}
	for name, text := range base {
		write(t, filepath.Join(dir, name), text)
	}
	s := &Subject{}
	load := loader(t, dir)
	s.Installer, s.System = load("fox-installer"), load("fox")
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	key, err := newTestKey()
	if err != nil {
		t.Fatal(err)
	}
	made, err := makeSecrets(&s.System, dir, key.recipient, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	system, _ := s.systemProfile(key, made)
	installer, _ := s.installerProfile()
	write(t, filepath.Join(dir, "fox-rehearsal.toml"), system)
	write(t, filepath.Join(dir, "fox-installer-rehearsal.toml"), installer)
	p, i := load("fox-rehearsal"), load("fox-installer-rehearsal")
	if p.Age.Recipient != key.recipient || p.Restore.Disk != "LABEL=rehearsal" || p.Secrets[0].File != made[0].secret.File || p.Secrets[0].Key != "password" || p.Hostname != "fox" {
		t.Errorf("system: %+v %+v %+v", p.Age, p.Restore, p.Secrets)
	}
	if d := i.Installer.Disk; i.Payload != "fox-rehearsal" || len(d.Serial)+len(d.Model) > 0 || len(d.Bus) != 2 || i.Installer.Machine.Product != "" || d.MinSize == "" {
		t.Errorf("installer: %+v", i.Installer)
	}
	if set, err := secrets.Check(&p); err != nil || len(set.Recipients) != 1 {
		t.Errorf("its secrets: %v", err)
	}
	if _, _, err := layouts.Load(dir).Resolve(p.Layout, nil); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMakeSecrets decrypts stand-ins as the system does.
func TestMakeSecrets(t *testing.T) {
	s, dir := fox(), t.TempDir()
	key, err := newTestKey()
	if err != nil {
		t.Fatal(err)
	}
	list, err := makeSecrets(&s.System, dir, key.recipient, time.Unix(1_700_000_000, 5))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := agekey.Parse(key.text)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"restic-password": "stand-in of restic-password", "token": "stand-in of token", "blob": "stand-in of blob", "s3": "STAND_IN=s3"}
	for _, m := range list {
		data, err := os.ReadFile(m.secret.File)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := secrets.Decrypt(data, secrets.FormatOf(m.secret.File), parsed.Identities())
		if err != nil {
			t.Fatalf("%s: %v", m.secret.Name, err)
		}
		if got, err := plain.Value(m.secret.Key); err != nil || string(got) != want[m.secret.Name] || m.value != want[m.secret.Name] {
			t.Errorf("%s is %q, %q in the file, %v; want %q", m.secret.Name, m.value, got, err, want[m.secret.Name])
		}
		other, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := secrets.Decrypt(data, secrets.FormatOf(m.secret.File), []age.Identity{other}); err == nil {
			t.Errorf("%s: any key opens it", m.secret.Name)
		}
	}
	if list[0].secret.File != list[1].secret.File || list[0].secret.File == list[3].secret.File {
		t.Errorf("secrets of one file are in %s and %s, one of another in %s", list[0].secret.File, list[1].secret.File, list[3].secret.File)
	}
	for _, keys := range [][2]string{{"a/b", "a"}, {"a", "a/b"}} {
		p := profiles.Profile{Secrets: []profiles.Secret{{Name: "x", File: "f", Key: keys[0]}, {Name: "y", File: "f", Key: keys[1]}}}
		if _, err := makeSecrets(&p, dir, key.recipient, time.Unix(1, 0)); err == nil || !strings.Contains(err.Error(), "secret y") {
			t.Errorf("keys %q: %v", keys, err)
		}
	}
}

func TestWantedSecret(t *testing.T) {
	for _, tt := range []struct {
		in   profiles.Secret
		want string
	}{
		{profiles.Secret{}, "400 root root "},
		{profiles.Secret{Mode: "0440", Owner: "ann", Group: "sudo"}, "440 ann sudo "},
		{profiles.Secret{Mode: "0000", Owner: "ann"}, "0 ann ann "},
	} {
		if got := wantedSecret(tt.in, "x"); got != tt.want+"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" {
			t.Errorf("%+v: %q; want %q and the SHA-256 of x", tt.in, got, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	no := false
	tests := []struct {
		name  string
		spoil func(s *Subject)
		want  string
	}{
		{"good", func(*Subject) {}, ""},
		{"no rescue", func(s *Subject) { s.Installer.Rescue.Enable = &no }, "no rescue environment"},
		{"GRUB", func(s *Subject) { s.System.Boot.Loader = "grub" }, `boot.loader is "grub"`},
		{"a store", func(s *Subject) { s.System.Source = "nix:.#fox" }, "in its Nix store"},
		{"a cache", func(s *Subject) { s.System.Source = "cache:x#y" }, "in its Nix store"},
		{"no restore", func(s *Subject) { s.System.Restore = profiles.Restore{} }, "restores nothing"},
		{"nobody", func(s *Subject) { s.System.Users = nil }, "has no users"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := fox()
			tt.spoil(s)
			err := s.Check()
			if tt.want == "" && err == nil {
				return
			}
			if err == nil || fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}
