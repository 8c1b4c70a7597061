package profiles

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// The words that the tables of secrets and backups can choose from.
var (
	// KeySources are the places where a first boot looks for its key.
	KeySources = []string{"medium", "esp", "credential", "console"}
	// Logins are what a login does while a restore is going on.
	Logins = []string{"wait", "warn"}
	// ServerSchemes are the kinds of repository that restic reaches over a
	// network by itself; each ends with a colon. That of rclone needs another
	// program, which nothing brings into the system.
	ServerSchemes = []string{"azure", "b2", "gs", "rest", "s3", "sftp", "swift"}
)

// maxKeyTimeout is the longest that the console asks for a key, in seconds.
const maxKeyTimeout = 600

// maxSecretName is NAME_MAX of Linux in bytes: a secret is a file.
const maxSecretName = 255

// maxDisk is the length in bytes of a file system's label: btrfs has the longest.
const maxDisk = 255

// The forms of names.
var (
	secretName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	backupName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`) // part of a unit's name
	secretMode = regexp.MustCompile(`^0?[0-7]{3}$`)
	scheme     = regexp.MustCompile(`^[a-z][a-z0-9]+:`)
)

// kernelFolders are file systems that the kernel or the boot makes anew.
var kernelFolders = []string{"/proc", "/sys", "/dev"}

// ownFolders are where the first boot keeps what it needs itself: the secrets
// of /run, the key, and its state.
var ownFolders = []string{"/run/secrets", "/run/secrets.d", "/var/lib/sops-nix", "/var/lib/mkimage", "/etc/mkimage"}

// checkRecovery checks how a system gets its secrets and its data, and where
// it backs them up to.
func checkRecovery(p *Profile, f *strict.Findings) {
	checkAge(p, f)
	links := map[string]string{}
	for _, s := range p.Secrets {
		checkSecret(s, strict.Join("secrets", s.Name), links, f)
	}
	if p.Restore != (Restore{}) {
		checkRestore(p, f)
		checkLinksOutside(p, f)
	}
	checkBackups(p, f)
}

func checkAge(p *Profile, f *strict.Findings) {
	a := p.Age
	if a.IsZero() && len(p.Secrets) == 0 {
		return
	}
	checkRecipient(a.Recipient, f)
	switch {
	case len(p.Secrets) == 0:
		f.Add("age", "there are no [[secrets]] that the key would open: add some, or take it away")
	case len(a.Sources) == 0:
		f.Add("age.sources", "secrets need a key: expected where it is looked for, one or more of %s", strings.Join(KeySources, ", "))
	}
	checkWords("age.sources", a.Sources, KeySources, f)
	// A key may be encrypted wherever it lies, and then its passphrase is asked
	// for. A machine that gets its key from its firmware has nobody to ask.
	least := 1
	if len(a.Sources) == 0 || slices.Equal(a.Sources, []string{"credential"}) {
		least = 0
	}
	if a.Timeout < least || a.Timeout > maxKeyTimeout {
		f.Add("age.timeout", "expected %d to %d seconds, found %d", least, maxKeyTimeout, a.Timeout)
	}
}

// checkRecipient refuses what is no public key of age. Nothing is shown of it:
// it may be the secret one.
func checkRecipient(text string, f *strict.Findings) {
	const key = "age.recipient"
	if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), "AGE-SECRET-KEY-") {
		f.Add(key, "found a secret key, expected the public key, age1...: take it out of the file, and out of its history; whoever has read it can read the secrets")
		return
	}
	_, err := age.ParseX25519Recipient(text)
	if err != nil {
		_, err = age.ParseHybridRecipient(text)
	}
	if err != nil && text != "" {
		f.Add(key, "expected a public key of age, age1..., as age-keygen -y prints it; found %d characters that are none", len(text))
	}
}

func checkSecret(s Secret, key string, links map[string]string, f *strict.Findings) {
	if !secretName.MatchString(s.Name) || len(s.Name) > maxSecretName {
		f.Add(key, "expected a name of a-z 0-9 . _ - that begins with a letter or a digit: it is a file in /run/secrets")
	}
	if base := path.Base(s.File); s.File == "" || base == "." || base == ".." || base == "/" || hasControl(s.File) {
		f.Add(strict.Join(key, "file"), "expected the path of a file that sops encrypted, found %q", s.File)
	}
	if hasControl(s.Key) {
		f.Add(strict.Join(key, "key"), "expected the name of a value, such as database/password, found %q", s.Key)
	}
	for _, v := range []struct{ name, got, what string }{{"owner", s.Owner, "user"}, {"group", s.Group, "group"}} {
		if v.got != "" && !account.MatchString(v.got) {
			f.Add(strict.Join(key, v.name), "expected the name of a %s, found %q", v.what, v.got)
		}
	}
	switch {
	case s.Mode == "":
	case !secretMode.MatchString(s.Mode):
		f.Add(strict.Join(key, "mode"), `expected three octal digits, such as "0400", found %q`, s.Mode)
	case strings.ContainsAny(s.Mode[len(s.Mode)-1:], "2367"):
		f.Add(strict.Join(key, "mode"), "%s: everybody could write it", s.Mode)
	}
	if s.Path != "" {
		checkLink(s, strict.Join(key, "path"), links, f)
	}
}

// checkLinksOutside refuses symlinks in what is restored: they are made before,
// and would be taken for data of somebody's that the backup must not replace.
func checkLinksOutside(p *Profile, f *strict.Findings) {
	restored := cmp.Or(p.Restore.Path, "/home")
	for _, s := range p.Secrets {
		if s.Path != "" && inside(s.Path, []string{restored}) != "" {
			f.Add(strict.Join(strict.Join("secrets", s.Name), "path"), "%s: nothing can be put below %s before it is restored; link from there to /run/secrets/%s by hand", s.Path, restored, s.Name)
		}
	}
}

// checkLink checks where the symlink to a secret goes. Links holds those
// before it, with the names of their secrets.
func checkLink(s Secret, key string, links map[string]string, f *strict.Findings) {
	switch folder := inside(s.Path, append(slices.Clone(kernelFolders), ownFolders...)); {
	case !isPath(s.Path):
		f.Add(key, "expected an absolute path without . and .., such as /etc/wireguard/key, found %q", s.Path)
	case folder != "":
		f.Add(key, "%s: nothing can be put below %s", s.Path, folder)
	case links[s.Path] != "":
		f.Add(key, "%s is the path of secret %s", s.Path, links[s.Path])
	default:
		links[s.Path] = s.Name
		for other, name := range links {
			if strings.HasPrefix(s.Path, other+"/") || strings.HasPrefix(other, s.Path+"/") {
				f.Add(key, "%s and %s, the path of secret %s: one is below the other, which is no folder", s.Path, other, name)
				return
			}
		}
	}
}

func checkRestore(p *Profile, f *strict.Findings) {
	r := p.Restore
	checkDisk("restore.disk", r.Disk, f)
	if kind := scheme.FindString(r.Repository); slices.Contains(ServerSchemes, strings.TrimSuffix(kind, ":")) {
		f.Add("restore.repository", "%s is on a server: a first boot restores from a disk", kind)
	} else {
		checkFolder("restore.repository", r.Repository, f)
	}
	if r.Host != "" && !fileName.MatchString(r.Host) {
		f.Add("restore.host", "expected the name of a host, found %q", r.Host)
	}
	switch folder := inside(r.Path, append([]string{"/run"}, kernelFolders...)); {
	case r.Path == "":
	case !isPath(r.Path):
		f.Add("restore.path", "expected an absolute path without . and .., such as /home, found %q", r.Path)
	case folder != "":
		f.Add("restore.path", "%s: %s does not outlast the boot", r.Path, folder)
	}
	checkSecretOf(p, "restore.password", r.Password, "the repository has a password", f)
	if r.Login != "" {
		checkWord("restore.login", r.Login, Logins, f)
	}
}

func checkBackups(p *Profile, f *strict.Findings) {
	places := map[[2]string]string{}
	for _, b := range p.Backup {
		key := strict.Join("backup", b.Name)
		if !backupName.MatchString(b.Name) {
			f.Add(key, "expected a name of 1 to 63 of a-z 0-9 _ - that begins with a letter or a digit")
		}
		checkRepository(b, key, f)
		place := [2]string{b.Disk, b.Repository}
		if other := places[place]; other != "" {
			f.Add(strict.Join(key, "repository"), "it is that of backup %s", other)
		}
		places[place] = b.Name
		checkSecretOf(p, strict.Join(key, "password"), b.Password, "the repository has a password", f)
		if b.Environment != "" {
			checkSecretOf(p, strict.Join(key, "environment"), b.Environment, "", f)
		}
		checkBackup(b, key, f)
	}
}

// checkBackup checks when and what is backed up, and what is kept of it. That
// times are ones of systemd is for who has it at hand.
func checkBackup(b Backup, key string, f *strict.Findings) {
	for _, v := range []struct{ name, got string }{{"schedule", b.Schedule}, {"random_delay", b.RandomDelay}} {
		if strings.ContainsFunc(v.got, func(r rune) bool { return r < ' ' || r > '~' }) {
			f.Add(strict.Join(key, v.name), "expected a time of systemd in printable ASCII, found %q", v.got)
		}
	}
	for i, name := range b.Paths {
		if name != "/" && !isPath(name) {
			f.Add(strict.Index(strict.Join(key, "paths"), i), "expected an absolute path without . and .., such as /home, found %q", name)
		}
	}
	for i, pattern := range b.Exclude {
		if pattern == "" || hasControl(pattern) {
			f.Add(strict.Index(strict.Join(key, "exclude"), i), "expected a pattern of restic, such as *.iso, found %q", pattern)
		}
	}
	for _, v := range []struct {
		name string
		got  int
	}{{"daily", b.Keep.Daily}, {"weekly", b.Keep.Weekly}, {"monthly", b.Keep.Monthly}, {"yearly", b.Keep.Yearly}} {
		if v.got < 0 {
			f.Add(strict.Join(strict.Join(key, "keep"), v.name), "expected 0 or more, found %d", v.got)
		}
	}
}

// checkRepository checks a repository and the disk that it is on, if it is on
// one. Of one on a server only the kind is shown: the rest may hold a password.
func checkRepository(b Backup, key string, f *strict.Findings) {
	at := strict.Join(key, "repository")
	kind := scheme.FindString(b.Repository)
	known := slices.Contains(ServerSchemes, strings.TrimSuffix(kind, ":"))
	switch {
	case known && b.Disk != "":
		f.Add(strict.Join(key, "disk"), "the repository is on a server: %s", kind)
	case known:
		checkServer(at, kind, strings.TrimPrefix(b.Repository, kind), f)
	case b.Disk == "" && kind != "":
		f.Add(at, "expected a path on a disk, or one of %s:, found %s%s", strings.Join(ServerSchemes, ":, "), kind, strict.DidYouMean(strings.TrimSuffix(kind, ":"), ServerSchemes))
	default:
		checkDisk(strict.Join(key, "disk"), b.Disk, f)
		checkFolder(at, b.Repository, f)
	}
}

// checkServer checks what comes after the scheme of a repository.
func checkServer(key, kind, rest string, f *strict.Findings) {
	_, authority, _ := strings.Cut(rest, "://")
	authority, _, _ = strings.Cut(authority, "/")
	login, _, _ := cutLast(authority, "@")
	switch {
	case rest == "" || strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		f.Add(key, "expected a place on a server after %s, without spaces", kind)
	case strings.Contains(login, ":"):
		f.Add(key, "%s has a password in it: it belongs into the secret that environment names, such as RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD", kind)
	}
}

// cutLast is strings.Cut at the last separator; without one all is after it.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// checkDisk checks how a file system is named.
func checkDisk(key, disk string, f *strict.Findings) {
	kind, value, _ := strings.Cut(disk, "=")
	if kind != "LABEL" && kind != "UUID" || value == "" || len(value) > maxDisk || strings.Contains(value, "/") || hasControl(value) {
		f.Add(key, "expected the file system that has the repository, LABEL=... or UUID=..., found %q", disk)
	}
}

// checkFolder checks a path from the top of a disk.
func checkFolder(key, name string, f *strict.Findings) {
	if name == "" || path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") || hasControl(name) {
		f.Add(key, "expected a path from the top of the disk, such as backup/restic, found %q", name)
	}
}

// checkSecretOf checks that a profile has the secret that one of its keys
// names. Need says why there must be one.
func checkSecretOf(p *Profile, key, name, need string, f *strict.Findings) {
	var names []string
	for _, s := range p.Secrets {
		names = append(names, s.Name)
	}
	switch {
	case slices.Contains(names, name):
	case name == "":
		f.Add(key, "is missing: %s; expected the name of one of [[secrets]]", need)
	case len(names) == 0:
		f.Add(key, "%q: there are no [[secrets]]", name)
	default:
		f.Add(key, "%q: no secret is named so%s", name, orList(strict.DidYouMean(name, names), names))
	}
}

// orList is a suggestion, or else all that there is.
func orList(near string, names []string) string {
	if near == "" {
		return fmt.Sprintf("; expected one of %s", strings.Join(names, ", "))
	}
	return near
}

// isPath reports whether a name is absolute, below / and in its one form.
func isPath(name string) bool {
	return path.IsAbs(name) && name != "/" && path.Clean(name) == name && !hasControl(name)
}

// inside returns the folder that a path is or is below, or "".
func inside(name string, folders []string) string {
	for _, folder := range folders {
		if name == folder || strings.HasPrefix(name, folder+"/") {
			return folder
		}
	}
	return ""
}

// hasControl reports control characters: what is written into a line of a file
// must not begin another one.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
}
