package qemutests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// recovered is a machine whose first boot brings back what it lost.
type recovered struct {
	dir        string // of its profile, "patient", and its secrets
	image      string
	key        string // its age key, as a key file has it
	recipient  string // of the key
	repository repository
}

// newRecovered builds the image of a machine with secrets and a backup. All that
// is done with it takes minutes.
func newRecovered(t testing.TB, o repositoryOptions) *recovered {
	t.Helper()
	r := newPatient(t, o)
	r.image = buildImage(t, bootCase{profile: "patient", args: []string{"--profile-dir", r.dir}})
	return r
}

// newPatient makes the profile, the secrets and the backup of a machine.
func newPatient(t testing.TB, o repositoryOptions) *recovered {
	t.Helper()
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.NeedRoot(t)
	imgtest.Need(t, Binary, "qemu-img")
	key, recipient := makeKey(t)
	secrets := makeSops(t, recipient)
	profile := fmt.Sprintf(recoveredProfile, recipient, secrets.yaml, sopsPasswordKey, sopsTokenKey, repositoryPath)
	check(t, os.WriteFile(filepath.Join(secrets.dir, "patient.toml"), []byte(profile), 0o644))
	return &recovered{dir: secrets.dir, key: key, recipient: recipient, repository: makeRepository(t, o)}
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
func (r *recovered) backup(t testing.TB) Disk {
	t.Helper()
	return Disk{File: backupDisk(t, r.repository, diskOptions{}).file, Bus: USB, Serial: "BACKUP"}
}

// medium returns a key medium, on which a key is in the clear.
func medium(t testing.TB, key string) Disk {
	t.Helper()
	return Disk{File: keyMedium(t, map[string]string{config.KeyFile: key}), Bus: USB, Serial: "KEYS", Write: true}
}

// config is the machine with its own disk and others.
func (r *recovered) config(t testing.TB, disks ...Disk) Config {
	t.Helper()
	dir := t.TempDir()
	disk := rawDisk(r.image).copyTo(t, filepath.Join(dir, "disk.img"), 8<<30)
	return Config{
		Name: "recovered", Agent: true, Keep: keepDir(t), Dir: dir, Memory: 1024,
		Disks: append([]Disk{{File: string(disk), Write: true}}, disks...),
	}
}

// waitRestored waits for the restore that the disk has started, or starts it.
const waitRestored = "systemctl start mkimage-restore.service; mkimage-firstboot status"

// TestRecovery: with key medium and backup disk the first boot brings back all,
// and the second does nothing more.
func TestRecovery(t *testing.T) {
	r := newRecovered(t, repositoryOptions{})
	c := r.config(t, medium(t, r.key), r.backup(t), listtreeDisk(t))
	vm := startVM(t, c)
	expect(t, vm, `mkimage-init: \S+ age key`)
	check(t, vm.WaitAgent(step(t)))
	r.complete(t, vm)
	bootTook(t, vm)
	r.nothingLeaks(t, vm, rawDisk(c.Disks[0].File))
	check(t, vm.Reboot(step(t)))
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	bootTook(t, vm)
	output(t, vm, "journalctl -b -u mkimage-restore.service -o cat | grep -c 'restore: ' || true", "0")
	output(t, vm, "mkimage-firstboot status >&2", "")
}

// bootTook logs how long the boot took: a benchmark compares.
func bootTook(t *testing.T, vm *VM) {
	t.Helper()
	out, err := vm.Output(step(t), "systemd-analyze time")
	check(t, err)
	t.Log(out)
}

// complete waits for the restore, and wants all to be as it was.
func (r *recovered) complete(t *testing.T, vm *VM) {
	t.Helper()
	out, err := vm.Output(step(t), waitRestored)
	check(t, err)
	t.Log(out)
	output(t, vm, "stat -Lc '%a %U %G' /run/secrets/token /run/secrets/restic-password; cat /etc/service/token", "440 bandit sudo\n400 root root\n"+strings.TrimSuffix(sopsToken, "\n"))
	output(t, vm, "stat -c '%a %U %n' /var/lib/sops-nix /var/lib/sops-nix/key.txt", "700 root /var/lib/sops-nix\n600 root /var/lib/sops-nix/key.txt")
	wantHome(t, belowUser(r.repository.list), guestHome(t, vm, "/home/"+homeUser))
	running(t, vm)
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
func running(t testing.TB, vm *VM) {
	t.Helper()
	output(t, vm, "systemctl is-system-running --wait; systemctl --failed --no-legend --plain", "running")
}
