package adjust

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/profiles"
)

// hostKeysName is the unit that makes SSH host keys.
const hostKeysName = "mkimage-hostkeys.service"

// hostKeysUnit does what Debian's sshd-keygen.service does, but not only in
// what systemd calls the first boot: an image has a machine id, an empty one,
// so that presets leave the profile's units alone.
const hostKeysUnit = `[Unit]
Description=Make SSH host keys
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service sshd.service ssh.socket sshd.socket

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
`

// hostKeys adds a unit that makes SSH host keys when the first boot is to do
// so. A source whose SSH server would start without keys, and fail, is
// refused.
func (e *editor) hostKeys() error {
	switch {
	case !e.hasSSHServer():
		return nil
	case !wantsHostKeys(&e.plan.Profile):
		if name := e.enabledServer(); name != "" {
			e.Add("first_boot.steps", `lacks "host-keys", and %s is enabled: it fails without them; disable it otherwise`, name)
		}
		return nil
	case e.find("/usr/bin/ssh-keygen") == nil:
		e.Add("first_boot.steps", `"host-keys" needs /usr/bin/ssh-keygen, which the source does not have`)
		return nil
	}
	if err := e.write(configDir+"/"+hostKeysName, hostKeysUnit, 0o644); err != nil {
		return err
	}
	return e.onUnit("first_boot.steps", hostKeysName, e.enable)
}

func (e *editor) hasSSHServer() bool {
	return e.find("/usr/sbin/sshd") != nil || e.find("/usr/bin/sshd") != nil
}

func wantsHostKeys(p *profiles.Profile) bool {
	return slices.Contains(p.FirstBoot.Steps, "host-keys")
}

// enabledServer returns the unit by which an SSH server is started at boot, or
// "".
func (e *editor) enabledServer() string {
	for _, c := range e.symlinks() {
		if slices.Contains([]string{"ssh.service", "sshd.service", "ssh.socket", "sshd.socket"}, c.Name) && c.Parent().Name != "system" {
			return c.Name
		}
	}
	return ""
}

// zram configures the generator that makes swap in compressed memory. It is used
// before a swapfile, which gets a priority below 0 as it names none.
func (e *editor) zram() error {
	z := e.plan.Profile.Zram
	if !z.Enable {
		return nil
	}
	const generator = "/usr/lib/systemd/system-generators/zram-generator"
	if e.find(generator) == nil {
		e.Add("zram.enable", "needs %s, which the source does not have; add the package systemd-zram-generator", generator)
		return nil
	}
	text := fmt.Sprintf("[zram0]\nzram-size = ram * %d / 100\ncompression-algorithm = zstd\nswap-priority = 100\n", z.Percent)
	return e.write("/etc/systemd/zram-generator.conf", text, 0o644)
}

// updatedNote is what systemd-update-done writes above the time.
const updatedNote = "# As systemd-update-done.service writes it: /usr had this time when the\n# directory was made of it.\n"

// updated says that /etc and /var fit /usr, as package management has left
// them. Otherwise the first boot would make the caches of ldconfig, of the
// hardware database and of the journal's catalog once more.
func (e *editor) updated() error {
	usr := e.find("/usr")
	if usr == nil || !e.debian() || e.find("/etc/ld.so.cache") == nil {
		return nil
	}
	text := fmt.Sprintf("%sTIMESTAMP_NSEC=%d\n", updatedNote, usr.Sec*int64(time.Second)+int64(usr.Nsec))
	for _, dir := range []string{"/etc", "/var"} {
		file := strings.TrimSuffix(dir, "/") + "/.updated"
		if err := e.write(file, text, 0o644); err != nil {
			return err
		}
		// systemd compares the file's own time first.
		c := e.find(file)
		c.Sec, c.Nsec = usr.Sec, usr.Nsec
	}
	return nil
}
