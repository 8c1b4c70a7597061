package qemutests

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// keyPassphrase is that of the key on the ESP.
const keyPassphrase = "staple battery? horse correct"

// TestRecoveryKey boots machines whose key is not simply there.
func TestRecoveryKey(t *testing.T) {
	r := newRecovered(t, repositoryOptions{files: smallHome})
	t.Run("passphrase", r.passphrase)
	t.Run("wrong passphrase", r.wrongPassphrase)
	t.Run("none", r.noKey)
	t.Run("another's", r.anothersKey)
}

// onESP is the machine with its key on the ESP, as the program age encrypts it.
func (r *recovered) onESP(t *testing.T, disks ...Disk) Config {
	t.Helper()
	with := *r
	with.image = string(rawDisk(r.image).copyTo(t, filepath.Join(t.TempDir(), "image"), 0))
	putESP(t, with.image, config.KeyFileEncrypted, encryptedKey(t, r.key, keyPassphrase))
	return with.config(t, disks...)
}

// encryptedKey is a key file as age -p -a makes it.
func encryptedKey(t *testing.T, key, passphrase string) string {
	t.Helper()
	var b strings.Builder
	recipient, err := age.NewScryptRecipient(passphrase)
	check(t, err)
	text := armor.NewWriter(&b)
	w, err := age.Encrypt(text, recipient)
	check(t, err)
	_, err = io.WriteString(w, key)
	check(t, err)
	check(t, w.Close())
	check(t, text.Close())
	return b.String()
}

// typed types a line when it is asked for, which the pattern ends with.
func typed(t *testing.T, vm *VM, asked, line string) {
	t.Helper()
	expect(t, vm, `(?s)`+asked+`.*Nothing is shown of what you type`)
	check(t, vm.Console.Send(line+"\r"))
}

const asksPassphrase = `mkimage-init: passphrase of the age key on the `

// passphrase types the right one.
func (r *recovered) passphrase(t *testing.T) {
	c := r.onESP(t, r.backup(t), listtreeDisk(t))
	vm := startVM(t, c)
	typed(t, vm, asksPassphrase, keyPassphrase)
	expect(t, vm, `login: `)
	check(t, vm.WaitAgent(step(t)))
	r.complete(t, vm)
	r.nothingLeaks(t, vm, rawDisk(c.Disks[0].File), keyPassphrase)
}

// wrongPassphrase types a wrong one three times, and the right one in the
// running system.
func (r *recovered) wrongPassphrase(t *testing.T) {
	vm := startVM(t, r.onESP(t, r.backup(t), listtreeDisk(t)))
	typed(t, vm, asksPassphrase, "not it")
	typed(t, vm, `tries left: 2`, "nor this")
	typed(t, vm, `tries left: 1`, "nor that")
	typed(t, vm, `no key of age that fits was found`, "")
	expect(t, vm, `This system is not complete yet \(mkimage-firstboot status\):[^$]*?passphrase[^$]*?mkimage-firstboot import`)
	expect(t, vm, `login: `)
	check(t, vm.WaitAgent(step(t)))
	standsAt(t, vm, firstboot.CodePassphrase)
	output(t, vm, "printf '%s\\n' "+shellQuote(keyPassphrase)+" | script -qec 'mkimage-firstboot import' /dev/null >&2", "")
	r.complete(t, vm)
}

// standsAt wants the first boot to stand at a step that was not done.
func standsAt(t testing.TB, vm *VM, code firstboot.Code) {
	t.Helper()
	output(t, vm, "mkimage-firstboot status >&2; echo $?", fmt.Sprint(int(code)))
}

// noKey boots without one. A random key comes then, as sops-nix makes one, and
// then media, which are plugged in.
func (r *recovered) noKey(t *testing.T) {
	vm := startVM(t, r.config(t, listtreeDisk(t)))
	expect(t, vm, `nobody has typed anything for 20s`)
	expect(t, vm, `age key: none was found: .*the system starts without its secrets; plug in the key medium`)
	expect(t, vm, `login: `)
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	standsAt(t, vm, firstboot.CodeNoKey)
	random, _ := makeKey(t)
	output(t, vm, "umask 077; mkdir -p /var/lib/sops-nix; printf %s "+shellQuote(random)+" >/var/lib/sops-nix/key.txt", "")

	other, recipient := makeKey(t)
	check(t, vm.Attach(step(t), "other", medium(t, other)))
	ended(t, vm, "mkimage-age-key.service", 1, firstboot.CodeOtherKey)
	log, err := vm.Output(step(t), "journalctl -u mkimage-age-key.service -o cat")
	check(t, err)
	for _, name := range []string{recipient, r.recipient} {
		if !strings.Contains(log, name) {
			t.Errorf("it does not name %s:\n%s", name, log)
		}
	}
	output(t, vm, "cat /var/lib/sops-nix/key.txt; ls /var/lib/sops-nix; ls /run/secrets 2>/dev/null || true", strings.TrimSpace(random)+"\nkey.txt")
	check(t, vm.Detach(step(t), "other"))

	check(t, vm.Attach(step(t), "both", medium(t, asWindows(other+r.key))))
	ended(t, vm, "mkimage-age-key.service", 2, 0)
	output(t, vm, "cat /var/lib/sops-nix/key.txt.old-*", strings.TrimSpace(random))
	check(t, vm.Attach(step(t), "backup", r.backup(t)))
	expect(t, vm, `is restored from snapshot`)
	r.complete(t, vm)
}

// asWindows ends lines as Windows does.
func asWindows(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// ended waits for the n-th end of a unit in this boot, which a device has
// started, and wants its exit code.
func ended(t *testing.T, vm *VM, unit string, n int, code firstboot.Code) {
	t.Helper()
	const script = `until [ "$(journalctl -b -u %[1]s -o cat | grep -c -e 'Deactivated successfully' -e 'Failed with result')" -ge %[2]d ]; do sleep 0.3; done
systemctl show -P ExecMainStatus %[1]s`
	output(t, vm, fmt.Sprintf(script, unit, n), fmt.Sprint(int(code)))
}

// anothersKey boots with that of another machine on the medium, and then with
// two, in lines as Windows ends them; the clock is wrong. What was in the place
// of the key is replaced by one that opens the secrets, and by no other.
func (r *recovered) anothersKey(t *testing.T) {
	other, recipient := makeKey(t)
	c := r.config(t, medium(t, other), r.backup(t), listtreeDisk(t))
	c.Clock = "1970-01-02T03:04:05"
	vm := startVM(t, c)
	expect(t, vm, `age key: .*`+recipient)
	typed(t, vm, `no key of age that fits was found`, "")
	expect(t, vm, `login: `)
	check(t, vm.WaitAgent(step(t)))
	standsAt(t, vm, firstboot.CodeOtherKey)
	output(t, vm, "umask 077; mkdir -p /var/lib/sops-nix; printf %s "+shellQuote(other)+" >/var/lib/sops-nix/key.txt; sync", "")
	check(t, vm.PowerDown(step(t)))

	c.Disks[1] = medium(t, asWindows(other+r.key))
	vm = startVM(t, c)
	expect(t, vm, `age key from .*: replaced as`)
	check(t, vm.WaitAgent(step(t)))
	r.complete(t, vm)
	output(t, vm, "cat /var/lib/sops-nix/key.txt.old-*", strings.TrimSpace(other))
}
