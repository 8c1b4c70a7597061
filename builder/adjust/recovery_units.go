package adjust

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// The units of a first boot. That of the key is for a key medium that is
// plugged in later: what is there at boot the initramfs has used. Secrets are
// there before any service that may need one. The restore is started by its
// disk alone, so that no boot waits for a disk that is not there. Once all is
// done, later boots decrypt the secrets and do no more.
const (
	keyUnit = `[Unit]
Description=Import the age key of the system's secrets from a key medium
After=local-fs.target

[Service]
Type=oneshot
ExecStart=` + firstBootProgram + ` import --medium
`
	secretsUnit = `[Unit]
Description=Decrypt the system's secrets
DefaultDependencies=no
ConditionPathExists=` + config.KeyPath + `
After=local-fs.target systemd-sysusers.service
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=` + firstBootProgram + ` secrets
`
	restoreUnit = `[Unit]
Description=Restore %[1]s from the backup
ConditionPathExists=!` + firstboot.CompletePath + `
After=local-fs.target mkimage-secrets.service sops-install-secrets.service systemd-tmpfiles-setup.service
%[2]s
[Service]
Type=oneshot
NotifyAccess=main
TimeoutStartSec=infinity
StandardOutput=journal+console
StandardError=journal+console
ExecStart=` + firstBootProgram + ` restore
`
	statusUnit = `[Unit]
Description=Tell what the first boot could not do yet
ConditionPathExists=!` + firstboot.CompletePath + `
After=mkimage-secrets.service
Before=systemd-user-sessions.service

[Service]
Type=oneshot
StandardOutput=journal+console
ExecStart=` + firstBootProgram + ` status --announce
`
	// beforeLogin holds up getty and sshd, which come after it.
	beforeLogin = "Before=systemd-user-sessions.service\n"
)

// recoveryUnits adds the units that the profile needs.
func (e *editor) recoveryUnits() error {
	p := &e.plan.Profile
	if len(p.Secrets) == 0 && !wantsRestore(p) {
		return nil
	}
	at := e.place()
	if err := e.pulledIn("mkimage-firstboot.service", at.fill(statusUnit), "multi-user.target"); err != nil {
		return err
	}
	if len(p.Secrets) > 0 {
		medium := "/dev/disk/by-partlabel/" + config.KeyLabel
		if err := e.pulledIn("mkimage-age-key.service", at.fill(keyUnit), deviceUnit(medium)); err != nil {
			return err
		}
		if e.shape != nixos {
			if err := e.pulledIn("mkimage-secrets.service", at.fill(secretsUnit), "sysinit.target"); err != nil {
				return err
			}
		}
	}
	if !wantsRestore(p) {
		return nil
	}
	order := beforeLogin
	if p.Restore.Login == "warn" {
		order = ""
	}
	where := unitText(cmp.Or(p.Restore.Path, restorePath))
	return e.pulledIn("mkimage-restore.service", fmt.Sprintf(at.fill(restoreUnit), where, order), deviceUnit(firstboot.DevicePath(p.Restore.Disk)))
}

// pulledIn adds a unit that another one starts.
func (e *editor) pulledIn(name, text, by string) error {
	if err := e.writeUnit(name, text); err != nil {
		return err
	}
	return e.symlink(e.place().units+"/"+by+".wants/"+name, "../"+name)
}

// deviceUnit returns the unit of a device node: its path as systemd-escape(1)
// writes it.
func deviceUnit(node string) string { return unitOfPath(node) + ".device" }

// unitOfPath escapes a path as systemd does for the names of units.
func unitOfPath(p string) string {
	var b strings.Builder
	for i, c := range []byte(strings.TrimPrefix(path.Clean(p), "/")) {
		switch {
		case c == '/':
			b.WriteByte('-')
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == ':', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// unitText makes a text one that systemd takes as it is.
func unitText(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// unitWord quotes an argument of a command in a unit: see "Command lines" in
// systemd.service(5).
func unitWord(text string) string { return strings.ReplaceAll(assignment(text), "$", "$$") }

// assignment quotes one of Environment=, which knows no variables: see
// systemd.exec(5).
func assignment(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(text) + `"`
}
