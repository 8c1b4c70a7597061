package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/profiles"
)

// recovering returns the laptop with secrets, a restore and two backups.
func recovering() profiles.Profile {
	p := laptop()
	p.Age = profiles.Age{Sources: []string{"medium", "console"}, Timeout: 120}
	p.Secrets = []profiles.Secret{
		{Name: "restic", File: "/srv/a/secrets.yaml", Key: "restic/password"},
		{Name: "wifi", File: "/srv/a/secrets.yaml", Key: "wifi", Owner: "ada", Group: "wheel", Mode: "0440", Path: "/etc/wifi"},
		{Name: "vpn", File: "/srv/b/vpn.key"},
	}
	p.Restore = profiles.Restore{Disk: "LABEL=backup", Repository: "restic/fox", Password: "restic"}
	p.Backup = []profiles.Backup{
		{Name: "usb", Disk: "LABEL=backup", Repository: "restic/fox", Password: "restic", Keep: profiles.Keep{Daily: 7, Yearly: 2}},
		{Name: "far", Repository: "s3:s3.example.org/fox", Password: "restic", Environment: "wifi", Schedule: "weekly", RandomDelay: "6h", Paths: []string{"/home", "/srv"}},
	}
	return p
}

// TestRecoveryText wants every part of it in the text, and none in that of a
// plan without.
func TestRecoveryText(t *testing.T) {
	out := text(t, mustMake(t, recovering(), laptopLayout(), Options{}), Look{Width: 200})
	for _, want := range []string{
		"\nKey of the secrets\n  looked for  medium, then console\n  asked for   120 seconds at most\n  public key  one that all secrets are encrypted for\n",
		"\nSecrets\n  restic  restic/password of secrets.yaml  root, mode 0400\n",
		"  wifi    wifi of secrets.yaml             ada:wheel, mode 0440, /etc/wifi\n",
		"  vpn     vpn.key                          root, mode 0400\n",
		"\nRestore at the first boot\n  /home       newest snapshot of demo in restic/fox on LABEL=backup, opened by restic; logins wait for it\n",
		"\nBackups\n  usb  restic/fox on LABEL=backup  /home; daily at 00:03, delayed by up to 1h; keeps 7 daily, 2 yearly\n",
		"  far  s3:s3.example.org/fox       /home, /srv; weekly, delayed by up to 6h; keeps all\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	p := recovering()
	p.Age.Recipient, p.Age.Sources, p.Age.Timeout = "age1x", []string{"credential"}, 0
	p.Restore.Path, p.Restore.Host, p.Restore.Login, p.Backup = "/srv", "fox", "warn", nil
	out = text(t, mustMake(t, p, laptopLayout(), Options{}), Look{Width: 200})
	for _, want := range []string{"  looked for  credential\n  public key  age1x\n", "  /srv        newest snapshot of fox in", "; a login is warned meanwhile\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "Backups") {
		t.Errorf("backups in\n%s", out)
	}
	out = text(t, mustMake(t, laptop(), laptopLayout(), Options{}), Look{})
	for _, not := range []string{"Key of", "Secrets", "Restore", "Backups"} {
		if strings.Contains(out, not) {
			t.Errorf("%q in the text of a plan without\n%s", not, out)
		}
	}
}

// TestRecoveryPlan wants the plan not to depend on where the files of secrets
// are, and the same plan of nothing, whatever its form.
func TestRecoveryPlan(t *testing.T) {
	near, far := recovering(), recovering()
	for i := range far.Secrets {
		far.Secrets[i].File = "/far" + far.Secrets[i].File
	}
	want := mustJSON(t, mustMake(t, near, laptopLayout(), Options{}))
	if strings.Contains(want, "null") {
		t.Errorf("a list of a table that is there is null in\n%s", want)
	}
	if got := mustJSON(t, mustMake(t, far, laptopLayout(), Options{})); got != want || !strings.Contains(got, `"file": "vpn.key"`) {
		t.Errorf("another folder gives another plan:\n%s", cmp.Diff(want, got))
	}
	if near.Secrets[2].File != "/srv/b/vpn.key" {
		t.Error("the profile was changed")
	}
	none := laptop()
	none.Age.Sources, none.Secrets, none.Backup = []string{}, []profiles.Secret{}, []profiles.Backup{}
	want = mustJSON(t, mustMake(t, laptop(), laptopLayout(), Options{}))
	if got := mustJSON(t, mustMake(t, none, laptopLayout(), Options{})); got != want {
		t.Errorf("empty lists make a difference:\n%s", cmp.Diff(want, got))
	}
	for _, not := range []string{`"age"`, `"secrets"`, `"restore"`, `"backup"`} {
		if strings.Contains(want, not) {
			t.Errorf("%s in the plan of a profile without", not)
		}
	}
}

// TestSecretFiles refuses two files that would be one in the image.
func TestSecretFiles(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"/srv/b/secrets.yaml", "secrets.vpn.file: /srv/b/secrets.yaml: another file of secrets has that name, /srv/a/secrets.yaml"},
		{"secrets.yaml", "secrets.vpn.file: secrets.yaml: another file"},
		{"/srv/a/../a/secrets.yaml", ""},
		{"/srv/a/secrets.yml", ""},
		{"/srv/a/Secrets.yaml", ""},
	} {
		p := recovering()
		p.Secrets[2].File = test.file
		_, err := Make(p, laptopLayout(), Options{})
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.file, err)
		case test.want != "" && (fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v; want a config error with %q", test.file, err, test.want)
		}
	}
}
