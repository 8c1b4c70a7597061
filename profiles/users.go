package profiles

import (
	"encoding/base64"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// account is the form of names of users and groups that shadow-utils, systemd
// and Debian's adduser all accept: https://systemd.io/USER_NAMES.
var account = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)

// The user ids that are free for people: UID_MIN and UID_MAX of login.defs(5).
// Those below belong to the distribution.
const (
	minUID = 1000
	maxUID = 60000
)

// keyTypes begin a line of authorized_keys, see sshd(8).
var keyTypes = []string{
	"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}

func checkUsers(users []User, f *strict.Findings) {
	owner := map[uint32]string{}
	console := ""
	for _, u := range users {
		key := strict.Join("users", u.Name)
		if !account.MatchString(u.Name) || u.Name == "root" {
			f.Add(key, "expected a name of 1 to 31 of a-z 0-9 _ - that begins with a letter, and not root")
		}
		if u.UID < minUID || u.UID > maxUID {
			f.Add(strict.Join(key, "uid"), "expected %d to %d, found %d", minUID, maxUID, u.UID)
		} else if owner[u.UID] != "" {
			f.Add(strict.Join(key, "uid"), "%d is the uid of %s", u.UID, owner[u.UID])
		}
		owner[u.UID] = u.Name
		if u.Autologin {
			if console != "" {
				f.Add(strict.Join(key, "autologin"), "the console logs %s in already", console)
			}
			console = u.Name
		}
		checkUser(u, key, f)
	}
}

// checkUser checks what of a user concerns no other.
func checkUser(u User, key string, f *strict.Findings) {
	if strings.ContainsFunc(u.Gecos, func(r rune) bool { return r < ' ' || r == ':' || r == 0x7f }) {
		f.Add(strict.Join(key, "gecos"), "expected text without colons and control characters, found %q", u.Gecos)
	}
	checkForms(strict.Join(key, "groups"), u.Groups, account, "the name of a group", f)
	if i := slices.Index(u.Groups, u.Name); i >= 0 {
		f.Add(strict.Index(strict.Join(key, "groups"), i), "%s is the user's own group, which is made in any case", u.Name)
	}
	if !path.IsAbs(u.Shell) || path.Clean(u.Shell) != u.Shell || strings.ContainsAny(u.Shell, ": \t\n") {
		f.Add(strict.Join(key, "shell"), "expected an absolute path, such as /bin/bash, found %q", u.Shell)
	}
	if strings.HasPrefix(u.PasswordFile, "$") {
		f.Add(strict.Join(key, "password_file"), "expected the path of a file that holds the hash, found what looks like a hash")
	}
	for i, line := range u.SSHKeys {
		if !isPublicKey(line) {
			f.Add(strict.Index(strict.Join(key, "ssh_keys"), i), "expected a public key, such as %q, found %q", "ssh-ed25519 AAAA... name", shorten(line))
		}
	}
}

// isPublicKey reports whether a line is a public key of OpenSSH without options.
func isPublicKey(line string) bool {
	words := strings.Fields(line)
	if len(words) < 2 || strings.ContainsAny(line, "\n\r") || !slices.Contains(keyTypes, words[0]) {
		return false
	}
	_, err := base64.StdEncoding.DecodeString(words[1])
	return err == nil
}

// shorten keeps a long line from filling a message. A private key that was
// pasted in the place of a public one is not shown in full either.
func shorten(line string) string {
	const most = 24
	if len(line) <= most {
		return line
	}
	return line[:most] + "..."
}
