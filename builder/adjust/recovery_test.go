package adjust

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

// recovering is a profile with all that a first boot does and two backups.
func recovering() profiles.Profile {
	p := profile()
	p.Users = []profiles.User{{Name: "ada", UID: 1000, Shell: "/bin/sh"}}
	p.Age = profiles.Age{Sources: []string{"medium", "console"}, Timeout: 60}
	p.Secrets = []profiles.Secret{
		{Name: "restic", File: "s.yaml", Key: "restic/password"},
		{Name: "env", File: "s.yaml", Key: "env", Owner: "ada", Group: "sudo", Mode: "0440", Path: "/etc/x env"},
	}
	p.Restore = profiles.Restore{Disk: "LABEL=my backup", Repository: "restic/demo", Password: "restic"}
	p.Backup = []profiles.Backup{
		{Name: "usb", Disk: "LABEL=my backup", Repository: "restic/demo", Password: "restic", Exclude: []string{".cache", "a b$c%d@programs@"}, Keep: profiles.Keep{Daily: 7, Yearly: 3}},
		{Name: "far", Repository: "s3:https://x/%y", Password: "restic", Environment: "env", Schedule: "weekly", RandomDelay: "2h", Paths: []string{"/home", "/etc"}},
	}
	return p
}

func recovered(t testing.TB, p profiles.Profile) *fstree.Tree {
	t.Helper()
	return recoveredFrom(t, makeTree(t, small("f /usr/lib/systemd/system/timers.target [Unit];")...), p)
}

func recoveredFrom(t testing.TB, tree *fstree.Tree, p profiles.Profile) *fstree.Tree {
	t.Helper()
	in := Inputs{Recovery: &Recovery{
		Recipients: []string{"age1x"}, Files: map[string]SecretFile{"s.yaml": {[]byte("ENC"), "yaml"}}, FirstBoot: []byte("F"), Restic: []byte("R")}}
	if err := Apply(tree, makePlan(t, p, layout()), in); err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return tree
}

func TestRecovery(t *testing.T) {
	tree := recovered(t, recovering())
	check(t, tree, map[string]string{
		"usr/lib/mkimage/mkimage-firstboot": "755 0:0 F", "usr/lib/mkimage/restic": "755 0:0 R", "usr/bin/mkimage-firstboot": "-> ../lib/mkimage/mkimage-firstboot",
		"etc/mkimage/secrets/s.yaml": "600 0:0 ENC", "var/lib/sops-nix": "dir 700 0:0 0",
		`etc/systemd/system/dev-disk-by\x2dpartlabel-MKIMAGE\x2dKEYS.device.wants/mkimage-age-key.service`: "-> ../mkimage-age-key.service",
		"etc/systemd/system/sysinit.target.wants/mkimage-secrets.service":                                  "-> ../mkimage-secrets.service",
		"etc/systemd/system/multi-user.target.wants/mkimage-firstboot.service":                             "-> ../mkimage-firstboot.service",
		`etc/systemd/system/dev-disk-by\x2dlabel-my\x5cx20backup.device.wants/mkimage-restore.service`:     "-> ../mkimage-restore.service",
		"etc/systemd/system/timers.target.wants/mkimage-backup-usb.timer":                                  "-> ../mkimage-backup-usb.timer",
		"etc/systemd/system/timers.target.wants/mkimage-backup-far.timer":                                  "-> ../mkimage-backup-far.timer",
	})
	var got firstboot.Config
	if err := json.Unmarshal([]byte(content(t, tree.Lookup("etc/mkimage/firstboot.json"))), &got); err != nil {
		t.Fatal(err)
	}
	const file = "/etc/mkimage/secrets/s.yaml"
	want := firstboot.Config{
		Version: 1, Image: "demo " + strings.Repeat("0", 64), Hostname: "demo",
		Age: &firstboot.Age{Recipients: []string{"age1x"}, Path: "/var/lib/sops-nix/key.txt", ESP: "/boot"},
		Secrets: []firstboot.Secret{
			{Name: "env", File: file, Format: "yaml", Key: "env", Owner: "ada", Group: "sudo", Mode: 0o440, Path: "/etc/x env"},
			{Name: "restic", File: file, Format: "yaml", Key: "restic/password", Owner: "root", Mode: 0o400},
		},
		Restore: &firstboot.Restore{Disk: "LABEL=my backup", Repository: "restic/demo", Host: "demo", Path: "/home", Password: "restic", Wait: true,
			Homes: []firstboot.Home{{Path: "/home/ada", UID: 1000, GID: 1000}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// TestRecoveryNixOS has all of it beside the state, and nothing elsewhere: an /etc that is an
// image, or a root in memory, hides what is not kept there.
func TestRecoveryNixOS(t *testing.T) {
	tree := recoveredFrom(t, makeTree(t, "d /nix/store/x-systemd", "d /etc"), recovering())
	const dir = "var/lib/mkimage/"
	check(t, tree, map[string]string{
		"usr": "none", "etc": "dir 755 0:0 0", "var/lib/sops-nix": "dir 700 0:0 0",
		dir + "bin/mkimage-firstboot": "755 0:0 F", dir + "bin/restic": "755 0:0 R", dir + "units/mkimage-secrets.service": "none",
		dir + `units/dev-disk-by\x2dpartlabel-MKIMAGE\x2dKEYS.device.wants/mkimage-age-key.service`: "-> ../mkimage-age-key.service",
		dir + "units/timers.target.wants/mkimage-backup-usb.timer":                                  "-> ../mkimage-backup-usb.timer",
	})
	for e := range tree.All() {
		if strings.HasPrefix(e.Path(), "etc/") {
			t.Errorf("%s is in /etc", e.Path())
		}
	}
	for name, want := range map[string]string{
		"mkimage-restore.service":    "ExecStart=/var/lib/mkimage/bin/mkimage-firstboot restore\n",
		"mkimage-backup-usb.service": "ExecStartPre=/run/current-system/sw/bin/systemctl start \"mnt-backup.mount\"\n",
	} {
		if text := content(t, tree.Lookup(dir+"units/"+name)); !strings.Contains(text, want) || strings.Contains(text, "@programs@/") || strings.Contains(text, "@system@") {
			t.Errorf("%s:\n%s\nwant %q, and no placeholder", name, text, want)
		}
	}
	var got firstboot.Config
	if err := json.Unmarshal([]byte(content(t, tree.Lookup(dir+"firstboot.json"))), &got); err != nil {
		t.Fatal(err)
	}
	if !got.NixOS || got.Secrets != nil || got.Age == nil || got.Restore == nil || got.Restore.Homes != nil {
		t.Errorf("configuration %+v", got)
	}
}

// TestRecoveryAbsent: a system without secrets, restore and backups gets
// nothing of it.
func TestRecoveryAbsent(t *testing.T) {
	tree := recovered(t, profile())
	check(t, tree, map[string]string{"usr/lib/mkimage": "none", "etc/mkimage": "none", "var/lib/sops-nix": "none"})
	refused(t, makeTree(t, small()...), recovering(), "the files and programs of recovery were not given")
}

// TestLogin: a restore that warns holds up no login.
func TestLogin(t *testing.T) {
	const unit, line = "etc/systemd/system/mkimage-restore.service", "Before=systemd-user-sessions.service\n"
	p := recovering()
	for login, want := range map[string]bool{"": true, "wait": true, "warn": false} {
		p.Restore.Login = login
		if got := strings.Contains(content(t, recovered(t, p).Lookup(unit)), line); got != want {
			t.Errorf("login %q: the unit comes before logins: %t; want %t", login, got, want)
		}
	}
}

// TestRecoveryUnits has systemd read all units.
func TestRecoveryUnits(t *testing.T) {
	imgtest.Need(t, "systemd-analyze")
	tree := recovered(t, recovering())
	dir := t.TempDir()
	var args []string
	for e := range tree.All() {
		if name := filepath.Base(e.Path()); strings.HasPrefix(name, "mkimage-") && e.IsRegular() && strings.HasPrefix(e.Path(), "etc/systemd") || name == "mnt-backup.mount" {
			// The programs that they start are not on this host.
			text := strings.ReplaceAll(content(t, e), "/usr/lib/mkimage/", "/bin/true /usr/lib/mkimage/")
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, filepath.Join(dir, name))
		}
	}
	if len(args) != 9 {
		t.Errorf("%d units %q; want 9", len(args), args)
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no", "--recursive-errors=no"}, args...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestBackupText(t *testing.T) {
	p := recovering()
	disks, at := newBackupDisks(p.Backup), place{programs: "/p", system: "/s"}
	for _, want := range []string{
		`ExecCondition=/s/test -e "/dev/disk/by-label/my\\x20backup"`,
		`ExecStartPre=/s/systemctl start "mnt-backup.mount"`,
		`Environment="RESTIC_REPOSITORY=/mnt/backup/restic/demo" "RESTIC_PASSWORD_FILE=/run/secrets/restic" `,
		`backup --exclude-caches "--exclude=.cache" "--exclude=a b$$c%%d@programs@" -- "/home"`,
		"forget --prune --keep-daily 7 --keep-yearly 3\n",
	} {
		if got := at.backupText(&p.Backup[0], disks); !strings.Contains(got, want) {
			t.Errorf("the unit lacks %s:\n%s", want, got)
		}
	}
	far := at.backupText(&p.Backup[1], disks)
	for text, want := range map[string]bool{
		"EnvironmentFile=/run/secrets/env\n": true, `"RESTIC_REPOSITORY=s3:https://x/%%y"`: true, `-- "/home" "/etc"`: true,
		"forget": false, "systemctl start": false,
	} {
		if got := strings.Contains(far, text); got != want {
			t.Errorf("%q in the unit: %t; want %t\n%s", text, got, want, far)
		}
	}
}

// TestUnitOfPath compares with systemd's own.
func TestUnitOfPath(t *testing.T) {
	imgtest.Need(t, "systemd-escape")
	for _, p := range []string{"/dev/disk/by-label/backup", `/dev/disk/by-label/my\x20backup`, "/mnt/backup", "/.a/b.c", "/dev/disk/by-label/ünï"} {
		out, err := exec.Command("systemd-escape", "--path", p).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := unitOfPath(p), strings.TrimSpace(string(out)); got != want {
			t.Errorf("unitOfPath(%q) = %s; want %s", p, got, want)
		}
	}
}
