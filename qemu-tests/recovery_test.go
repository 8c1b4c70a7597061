package qemutests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// recovered is a machine whose first boot brings back what it lost.
type recovered struct {
	t          *testing.T
	image      string
	key        string // its age key, as a key file has it
	repository repository
}

// newRecovered builds the image of a machine with secrets and a backup.
func newRecovered(t *testing.T, o repositoryOptions) *recovered {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, Binary, "qemu-img")
	key, recipient := makeKey(t)
	secrets := makeSops(t, recipient)
	profile := fmt.Sprintf(recoveredProfile, recipient, secrets.yaml, sopsPasswordKey, sopsTokenKey, repositoryPath)
	check(t, os.WriteFile(filepath.Join(secrets.dir, "patient.toml"), []byte(profile), 0o644))
	return &recovered{
		t: t, key: key, repository: makeRepository(t, o),
		image: buildImage(t, bootCase{profile: "patient", args: []string{"--profile-dir", secrets.dir}}),
	}
}

// recoveredProfile is what the owner of the machine writes.
const recoveredProfile = `extends = "bandit-minimal"

[age]
recipient = "%[1]s"
sources = ["medium", "esp", "console"]
timeout = 20

[[secrets]]
name = "restic-password"
file = "%[2]s"
key = "%[3]s"

[[secrets]]
name = "token"
file = "%[2]s"
key = "%[4]s"
owner = "bandit"
group = "sudo"
mode = "0440"
path = "/etc/service/token"

[restore]
disk = "LABEL=backup"
repository = "%[5]s"
password = "restic-password"

[[backup]]
name = "usb"
disk = "LABEL=backup"
repository = "%[5]s"
password = "restic-password"
exclude = [".cache", "node_modules"]

[backup.keep]
daily = 7
`

// backup returns the backup disk.
func (r *recovered) backup() Disk {
	r.t.Helper()
	return Disk{File: backupDisk(r.t, r.repository, diskOptions{}).file, Bus: USB, Serial: "BACKUP"}
}

// medium returns a key medium, on which the key is in the clear.
func (r *recovered) medium() Disk {
	r.t.Helper()
	return Disk{File: keyMedium(r.t, map[string]string{config.KeyFile: r.key}), Bus: USB, Serial: "KEYS"}
}

// config is the machine with its own disk and others.
func (r *recovered) config(disks ...Disk) Config {
	r.t.Helper()
	dir := r.t.TempDir()
	disk := rawDisk(r.image).copyTo(r.t, filepath.Join(dir, "disk.img"), 8<<30)
	return Config{
		Name: "recovered", Agent: true, Keep: keepDir(r.t), Dir: dir, Memory: 1024,
		Disks: append([]Disk{{File: string(disk), Write: true}}, disks...),
	}
}

// waitRestored waits for the restore that the disk has started, or starts it.
const waitRestored = "systemctl start mkimage-restore.service; mkimage-firstboot status"

// TestRecovery: with key medium and backup disk the first boot brings back all,
// and the second does nothing more.
func TestRecovery(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	r := newRecovered(t, repositoryOptions{})
	vm := startVM(t, r.config(r.medium(), r.backup(), listtreeDisk(t)))
	expect(t, vm, `mkimage-init: \S+ age key`)
	check(t, vm.WaitAgent(step(t)))
	out, err := vm.Output(step(t), waitRestored)
	check(t, err)
	t.Log(out)
	output(t, vm, "stat -Lc '%a %U %G' /run/secrets/token /run/secrets/restic-password; cat /etc/service/token", "440 bandit sudo\n400 root root\n"+strings.TrimSuffix(sopsToken, "\n"))
	output(t, vm, "stat -c '%a %U %n' /var/lib/sops-nix /var/lib/sops-nix/key.txt", "700 root /var/lib/sops-nix\n600 root /var/lib/sops-nix/key.txt")
	wantHome(t, belowUser(r.repository.list), guestHome(t, vm, "/home/"+homeUser))
	running(t, vm)
	r.nothingLeaks(vm)
	output(t, vm, "systemd-run --quiet --collect --on-active=1 systemctl reboot", "")
	_, err = vm.WaitEvent(step(t), "RESET")
	check(t, err)
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	output(t, vm, "journalctl -b -u mkimage-restore.service -o cat | grep -c 'restore: ' || true", "0")
}

// belowUser returns what a list of /home has below the user's folder, as a list
// of that folder.
func belowUser(list string) string {
	var b strings.Builder
	for line := range strings.Lines(list) {
		if rest, ok := strings.CutPrefix(line, `"`+homeUser+`/`); ok {
			// The names of hard links are in it, too.
			b.WriteString(`"` + strings.ReplaceAll(rest, `"`+homeUser+`/`, `"`))
		}
	}
	return b.String()
}

// running waits until all units are started, none of which may have failed.
func running(t *testing.T, vm *VM) {
	t.Helper()
	output(t, vm, "systemctl is-system-running --wait; systemctl --failed --no-legend --plain", "running")
}

// nothingLeaks looks for the secrets where anybody could find them.
func (r *recovered) nothingLeaks(vm *VM) {
	r.t.Helper()
	_, key, _ := strings.Cut(r.key, "AGE-SECRET-KEY-")
	key = strings.TrimSpace(key)
	console := strings.Join(vm.Console.Tail(1<<20), "\n")
	for name, secret := range map[string]string{"the key": key, "the password": r.repository.password} {
		if strings.Contains(console, secret) {
			r.t.Errorf("the console shows %s", name)
		}
		if out, err := exec.Command("grep", "-acF", secret, r.image).Output(); err == nil {
			r.t.Errorf("%s is in the image, %s times", name, strings.TrimSpace(string(out)))
		}
		half := len(secret) / 2
		script := fmt.Sprintf("s=%s%s; journalctl -a -o cat | grep -cF \"$s\"; cat /proc/[0-9]*/environ 2>/dev/null | grep -acF \"$s\"; true",
			shellQuote(secret[:half]), shellQuote(secret[half:]))
		output(r.t, vm, script, "0\n0")
	}
}
