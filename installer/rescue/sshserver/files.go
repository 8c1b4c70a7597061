// Package sshserver lets people into a rescue environment over SSH: it writes what sshd
// of OpenSSH and the C library need to know of accounts, makes a host key, and keeps
// sshd running.
//
// Root is the only account that can log in, and a key the only way. There is no password
// to guess: none would be taken. The host key lasts as long as the machine runs, so that
// its fingerprint belongs on the console.
package sshserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Config says who is let in, and to what.
type Config struct {
	Root    string   // the root directory of the environment; "/" on the machine itself
	Keys    []string // lines of authorized_keys, at least one
	Shell   string   // of root, absolute in the environment
	Path    string   // PATH of what root runs
	Prompt  string   // PS1 of the shell, without quotes
	Welcome string   // what is shown to who logs in
	Port    int      // 22 if 0
}

// Where things are in the environment. sshd of Debian changes its root directory to
// /run/sshd for what it does before anybody is known, that of others to /var/empty.
const (
	configPath  = "/etc/ssh/sshd_config"
	hostKeyPath = "/etc/ssh/ssh_host_ed25519_key"
	keysPath    = "/etc/ssh/authorized_keys"
	emptyDir    = "/run/sshd"
	otherEmpty  = "/var/empty"
	homeDir     = "/root"
)

const defaultPort = 22

// file is what is written.
type file struct {
	path, text string
	mode       os.FileMode
}

// files returns what a server needs.
func (c Config) files() []file {
	return []file{
		{"/etc/passwd", "root:x:0:0:root:" + homeDir + ":" + c.Shell + "\nsshd:x:74:74:sshd:" + emptyDir + ":/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644},
		{"/etc/group", "root:x:0:\ntty:x:5:\nsshd:x:74:\nnogroup:x:65534:\n", 0o644},
		// "*" is a password that nothing matches. Accounts with "!" sshd takes for locked, and
		// lets them in by no key either.
		{"/etc/shadow", "root:*:::::::\nsshd:!:::::::\nnobody:!:::::::\n", 0o600},
		{"/etc/motd", c.Welcome, 0o644},
		{"/etc/shells", c.Shell + "\n", 0o644},
		{"/run/utmp", "", 0o644}, {"/var/log/wtmp", "", 0o644}, {"/var/log/lastlog", "", 0o644}, // it complains to who logs in if they are not there
		{keysPath, strings.Join(c.Keys, "\n") + "\n", 0o600},
		{configPath, c.config(), 0o600},
	}
}

// config is the text of sshd_config(5).
func (c Config) config() string {
	port := c.Port
	if port == 0 {
		port = defaultPort
	}
	return fmt.Sprintf(`Port %d
HostKey %s
PidFile none
AllowUsers root
PermitRootLogin prohibit-password
AuthenticationMethods publickey
PubkeyAuthentication yes
AuthorizedKeysFile %s
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd yes
PrintLastLog no
X11Forwarding no
AllowAgentForwarding no
AllowTcpForwarding no
SetEnv "PATH=%s" "PS1=%s"
Subsystem sftp internal-sftp
`, port, hostKeyPath, keysPath, c.Path, c.Prompt)
}

// Write writes the files and makes the directories of a server. What is there under
// these names is replaced: it is for an environment of its own, and for no system. Nobody
// but root may write to any directory above the keys, or sshd takes none of them; and the
// kernel makes the root directory of an initramfs one that everybody may write to.
func Write(c Config) error {
	for dir, mode := range map[string]os.FileMode{"/": 0o755, "/etc": 0o755, "/etc/ssh": 0o755, "/var/log": 0o755, emptyDir: 0o755, otherEmpty: 0o755, homeDir: 0o700} {
		at := filepath.Join(c.Root, dir)
		if err := os.MkdirAll(at, mode); err != nil {
			return err
		}
		if err := os.Chmod(at, mode); err != nil {
			return err
		}
	}
	for _, f := range c.files() {
		at := filepath.Join(c.Root, f.path)
		if err := os.WriteFile(at, []byte(f.text), f.mode); err != nil {
			return err
		}
		if err := os.Chmod(at, f.mode); err != nil { // of one that was there
			return err
		}
	}
	return nil
}
