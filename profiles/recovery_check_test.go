package profiles

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// recovering is what a table of TestRecovery changes: a laptop with two
// secrets, a restore and two backups.
const recovering = `extends = 'bandit-minimal'
[age]
sources = ['medium', 'console']
timeout = 60
[[secrets]]
name = 'restic'
file = 'secrets.yaml'
key = 'restic/password'
[[secrets]]
name = 's3.env'
file = '/srv/s3.env'
path = '/etc/s3/env'
[restore]
disk = 'LABEL=backup'
repository = 'restic/fox'
password = 'restic'
[[backup]]
name = 'usb'
disk = 'LABEL=backup'
repository = 'restic/fox'
password = 'restic'
[[backup]]
name = 'far'
repository = 's3:s3.example.org/fox'
password = 'restic'
environment = 's3.env'
`

// resolveOver resolves what a child makes of the profile recovering.
func resolveOver(change string) (Profile, error) {
	b := fstest.MapFS{"above.toml": {Data: []byte(recovering)}, "mine.toml": {Data: []byte("extends = 'above'\n" + change)}}
	text, err := builtin.ReadFile("builtin/bandit-minimal.toml")
	if err != nil {
		return Profile{}, err
	}
	b["bandit-minimal.toml"] = &fstest.MapFile{Data: text}
	library := strict.Library{Kind: "profile", Builtin: b}
	var p Profile
	_, err = library.Resolve("mine", nil, &p, func(f *strict.Findings) { check(&p, f) })
	return p, err
}

func TestRecovery(t *testing.T) {
	x25519, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	x, h := x25519.Recipient().String(), hybrid.Recipient().String()
	secret := func(keys string) string { return "[[secrets]]\nname = 'restic'\n" + keys }
	usb := func(keys string) string { return "[[backup]]\nname = 'usb'\n" + keys }
	far := func(keys string) string { return "[[backup]]\nname = 'far'\n" + keys }
	const none = "[[secrets]]\nname = '!*'\n[restore]\ndisk = ''\nrepository = ''\npassword = ''\n[[backup]]\nname = '!*'\n"
	tests := []struct {
		name, change, want string // want "" means that it is valid
	}{
		{"nothing", "", ""},
		{"recipient", "age.recipient = '" + x + "'", ""},
		{"hybrid recipient", "age.recipient = '" + h + "'", ""},
		{"recipient cut", "age.recipient = '" + x[:61] + "'", "age.recipient: expected a public key of age, age1..., as age-keygen -y prints it; found 61 characters"},
		{"recipient with a space", "age.recipient = '" + x + " '", "age.recipient: expected a public key"},
		{"recipient of SSH", "age.recipient = 'ssh-ed25519 AAAA'", "age.recipient: expected a public key"},
		{"secret key", "age.recipient = '" + x25519.String() + "'", "age.recipient: found a secret key, expected the public key"},
		{"secret key in small letters", "age.recipient = '  " + strings.ToLower(x25519.String()) + "'", "age.recipient: found a secret key"},
		{"hybrid secret key", "age.recipient = '" + hybrid.String() + "'", "age.recipient: found a secret key"},
		{"no sources", "age.sources = ['!*']", "age.sources: secrets need a key: expected where it is looked for, one or more of medium, esp, credential, console"},
		{"all sources", "age.sources = ['esp', 'credential']", ""},
		{"source", "age.sources = ['usb']", `age.sources[2]: expected one of medium, esp, credential, console, found "usb"`},
		{"timeout at the least", "age.timeout = 1", ""},
		{"timeout below", "age.timeout = 0", "age.timeout: expected 1 to 600 seconds, found 0"},
		{"timeout at the most", "age.timeout = 600", ""},
		{"timeout above", "age.timeout = 601", "age.timeout: expected 1 to 600 seconds, found 601"},
		{"timeout of a credential", "age.timeout = 0\nage.sources = ['!*', 'credential']", ""},
		{"timeout below that", "age.timeout = -1\nage.sources = ['!*', 'credential']", "age.timeout: expected 0 to 600 seconds, found -1"},
		{"timeout of two", "age.timeout = 0\nage.sources = ['!*', 'credential', 'esp']", "age.timeout: expected 1 to 600"},
		{"no secrets", none + "[age]\nsources = ['!*']\ntimeout = 0", ""},
		{"a key without secrets", none, "age: there are no [[secrets]] that the key would open"},
		{"a recipient alone", none + "[age]\nsources = ['!*']\ntimeout = 0\nrecipient = '" + x + "'", "age: there are no [[secrets]]"},

		{"secret name", "[[secrets]]\nname = '0.a-b_c'\nfile = 'a'", ""},
		{"secret name at the most", "[[secrets]]\nname = '" + strings.Repeat("a", 255) + "'\nfile = 'a'", ""},
		{"secret name too long", "[[secrets]]\nname = '" + strings.Repeat("a", 256) + "'\nfile = 'a'", ": expected a name of a-z 0-9 . _ -"},
		{"secret name with a slash", "[[secrets]]\nname = 'a/b'\nfile = 'a'", "secrets.a/b: expected a name of a-z"},
		{"secret name hidden", "[[secrets]]\nname = '.a'\nfile = 'a'", `secrets.".a": expected a name`},
		{"secret name in capitals", "[[secrets]]\nname = 'A'\nfile = 'a'", "secrets.A: expected a name"},
		{"secret file missing", "[[secrets]]\nname = 'a'", `secrets.a.file: expected the path of a file that sops encrypted, found ""`},
		{"secret file that is a folder", secret("file = '..'"), "secrets.restic.file: expected the path"},
		{"secret file with a newline", secret(`file = "a\nb"`), "secrets.restic.file: expected the path"},
		{"secret key of two lines", secret(`key = "a\nb"`), "secrets.restic.key: expected the name of a value"},
		{"owner and group", secret("owner = 'bandit'\ngroup = 'wheel'"), ""},
		{"owner by number", secret("owner = '0'"), `secrets.restic.owner: expected the name of a user, found "0"`},
		{"group with a space", secret("group = 'a b'"), `secrets.restic.group: expected the name of a group, found "a b"`},
		{"a link in what is restored", secret("path = '/home/bandit/.token'"), "secrets.restic.path: /home/bandit/.token: nothing can be put below /home before it is restored; link from there to /run/secrets/restic by hand"},
		{"a link beside what is restored", secret("path = '/homes/token'"), ""},
		{"a link in what is not restored", secret("path = '/home/token'\n[restore]\npath = '/srv'"), ""},
		{"mode", secret("mode = '0440'"), ""},
		{"mode of three", secret("mode = '444'"), ""},
		{"mode at the most", secret("mode = '0775'"), ""},
		{"mode above", secret("mode = '1000'"), `secrets.restic.mode: expected three octal digits, such as "0400", found "1000"`},
		{"mode of two", secret("mode = '40'"), "secrets.restic.mode: expected three octal digits"},
		{"mode not octal", secret("mode = '0480'"), "secrets.restic.mode: expected three octal digits"},
		{"mode in words", secret("mode = 'u=r'"), "secrets.restic.mode: expected three octal digits"},
		{"mode for all to write", secret("mode = '0402'"), "secrets.restic.mode: 0402: everybody could write it"},
		{"mode for all to write and read", secret("mode = '777'"), "secrets.restic.mode: 777: everybody could write it"},
		{"mode for all to write and run", secret("mode = '703'"), "secrets.restic.mode: 703: everybody could write it"},
		{"mode for all to write and read alone", secret("mode = '0446'"), "secrets.restic.mode: 0446: everybody could write it"},
		{"path", secret("path = '/etc/a'"), ""},
		{"path relative", secret("path = 'etc/a'"), "secrets.restic.path: expected an absolute path"},
		{"path unclean", secret("path = '/etc/../a'"), "secrets.restic.path: expected an absolute path"},
		{"path of the top", secret("path = '/'"), "secrets.restic.path: expected an absolute path"},
		{"path with a newline", secret(`path = "/a\nb"`), "secrets.restic.path: expected an absolute path"},
		{"path of the secrets", secret("path = '/run/secrets/x'"), "secrets.restic.path: /run/secrets/x: nothing can be put below /run/secrets"},
		{"path beside the secrets", secret("path = '/run/secretsx'"), ""},
		{"path of the kernel", secret("path = '/proc/x'"), "nothing can be put below /proc"},
		{"path of a device", secret("path = '/dev'"), "nothing can be put below /dev"},
		{"path of the key", secret("path = '/var/lib/sops-nix/key.txt'"), "nothing can be put below /var/lib/sops-nix"},
		{"path twice", secret("path = '/etc/s3/env'"), `secrets."s3.env".path: /etc/s3/env is the path of secret restic`},
		{"path below another", secret("path = '/etc/s3/env/a'"), "one is below the other, which is no folder"},
		{"path above another", secret("path = '/etc/s3'"), "one is below the other, which is no folder"},
		{"path beside another", secret("path = '/etc/s3/envx'"), ""},

		{"restore of a disk by its UUID", "restore.disk = 'UUID=0A1B-2C3D'", ""},
		{"restore of a label with a space", "restore.disk = 'LABEL=my disk'", ""},
		{"restore without a disk", "restore.disk = ''", `restore.disk: expected the file system that has the repository, LABEL=... or UUID=..., found ""`},
		{"restore of a device", "restore.disk = '/dev/sda1'", "restore.disk: expected the file system"},
		{"restore of a label with a slash", "restore.disk = 'LABEL=a/b'", "restore.disk: expected the file system"},
		{"restore of no label", "restore.disk = 'LABEL='", "restore.disk: expected the file system"},
		{"restore of a partition's label", "restore.disk = 'PARTLABEL=a'", "restore.disk: expected the file system"},
		{"restore of a label of two lines", `restore.disk = "LABEL=a\nb"`, "restore.disk: expected the file system"},
		{"label at the most", "restore.disk = 'LABEL=" + strings.Repeat("a", 255) + "'", ""},
		{"label too long", "restore.disk = 'LABEL=" + strings.Repeat("a", 256) + "'", "restore.disk: expected the file system"},
		{"repository of the whole disk", "restore.repository = '.'", ""},
		{"repository that begins with dots", "restore.repository = '..a/b'", ""},
		{"no repository", "restore.repository = ''", "restore.repository: expected a path from the top of the disk"},
		{"repository absolute", "restore.repository = '/a'", "restore.repository: expected a path"},
		{"repository above", "restore.repository = '../a'", "restore.repository: expected a path"},
		{"repository unclean", "restore.repository = 'a//b'", "restore.repository: expected a path"},
		{"repository on a server", "restore.repository = 's3:x/y'", "restore.repository: s3: is on a server: a first boot restores from a disk"},
		{"restore of another host", "restore.host = 'Fox.example'", ""},
		{"restore of no host", "restore.host = 'a b'", `restore.host: expected the name of a host, found "a b"`},
		{"restore elsewhere", "restore.path = '/srv/data'", ""},
		{"restore of all", "restore.path = '/'", "restore.path: expected an absolute path"},
		{"restore to /run", "restore.path = '/run/x'", "restore.path: /run/x: /run does not outlast the boot"},
		{"restore without a password", "restore.password = ''", "restore.password: is missing: the repository has a password; expected the name of one of [[secrets]]"},
		{"restore with no such secret", "restore.password = 'retsic'", `restore.password: "retsic": no secret is named so; did you mean restic?`},
		{"restore with another", "restore.password = 'x'", `restore.password: "x": no secret is named so; expected one of restic, s3.env`},
		{"restore without secrets", "[[secrets]]\nname = '!*'", `restore.password: "restic": there are no [[secrets]]`},
		{"login", "restore.login = 'warn'", ""},
		{"login of no kind", "restore.login = 'skip'", `restore.login: expected one of wait, warn, found "skip"`},

		{"backup name at the most", "[[backup]]\nname = '" + strings.Repeat("a", 63) + "'\nrepository = 'b2:x'\npassword = 'restic'", ""},
		{"backup name too long", "[[backup]]\nname = '" + strings.Repeat("a", 64) + "'\nrepository = 'b2:x'\npassword = 'restic'", ": expected a name of 1 to 63"},
		{"backup name with a dot", "[[backup]]\nname = 'a.b'\nrepository = 'b2:x'\npassword = 'restic'", `backup."a.b": expected a name of 1 to 63`},
		{"backup without a disk", usb("disk = ''"), "backup.usb.disk: expected the file system"},
		{"backup to a server with a disk", far("disk = 'LABEL=a'"), "backup.far.disk: the repository is on a server: s3:"},
		{"backup by sftp", far("repository = 'sftp:ada@example.org:/srv/fox'"), ""},
		{"backup by sftp as a URL", far("repository = 'sftp://ada@example.org:22//srv/fox'"), ""},
		{"backup by rest", far("repository = 'rest:https://example.org:8000/fox@home:x'"), ""},
		{"backup with a password", far("repository = 'rest:https://ada:hunter2@example.org/'"), "backup.far.repository: rest: has a password in it"},
		{"backup with a password with a sign", far("repository = 'rest:https://ada:hunter2@2@example.org/'"), "backup.far.repository: rest: has a password in it"},
		{"backup with a password of a name with a sign", far("repository = 'rest:https://ada@home:hunter2@example.org/'"), "backup.far.repository: rest: has a password in it"},
		{"backup to a server with a space", far("repository = 's3:hunter2 x'"), "backup.far.repository: expected a place on a server after s3:, without spaces"},
		{"backup to a server of nothing", far("repository = 's3:'"), "backup.far.repository: expected a place on a server"},
		{"backup by another program", far("repository = 'rclone:hunter2:x'"), "backup.far.repository: expected a path on a disk, or one of azure:, b2:, gs:, rest:, s3:, sftp:, swift:, found rclone:"},
		{"backup by a slip", far("repository = 'stfp:hunter2:x'"), "found stfp:; did you mean sftp?"},
		{"backup to a path with a colon", usb("repository = 'a:b'"), ""},
		{"backup above", usb("repository = '..'"), "backup.usb.repository: expected a path from the top of the disk"},
		{"backup twice", "[[backup]]\nname = 'two'\ndisk = 'LABEL=backup'\nrepository = 'restic/fox'\npassword = 'restic'", "backup.two.repository: it is that of backup usb"},
		{"backup to another disk", "[[backup]]\nname = 'two'\ndisk = 'LABEL=other'\nrepository = 'restic/fox'\npassword = 'restic'", ""},
		{"backup without a password", usb("password = ''"), "backup.usb.password: is missing"},
		{"backup with no such environment", far("environment = 's3.en'"), `backup.far.environment: "s3.en": no secret is named so; did you mean s3.env?`},
		{"schedule", usb("schedule = 'Mon *-*-* 03:00'\nrandom_delay = '6h'"), ""},
		{"schedule of two lines", usb(`schedule = "daily\nUnit=x"`), "backup.usb.schedule: expected a time of systemd"},
		{"delay of two lines", usb(`random_delay = "1h\r"`), "backup.usb.random_delay: expected a time of systemd"},
		{"paths", usb("paths = ['/home', '/']"), ""},
		{"paths relative", usb("paths = ['home']"), `backup.usb.paths[0]: expected an absolute path without . and .., such as /home, found "home"`},
		{"exclude", usb("exclude = ['*.iso', '/home/*/.cache']"), ""},
		{"exclude of two lines", usb(`exclude = ["a\nb"]`), "backup.usb.exclude[0]: expected a pattern of restic"},
		{"exclude of nothing", usb("exclude = ['']"), "backup.usb.exclude[0]: expected a pattern"},
		{"keep", usb("keep = {daily = 7, yearly = 0}"), ""},
		{"keep below", usb("keep = {weekly = -1}"), "backup.usb.keep.weekly: expected 0 or more, found -1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := resolveOver(test.change)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s: %v", test.change, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != fault.Config):
				t.Errorf("%s:\n%v\nwant\n%s", test.change, err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(strings.ToUpper(err.Error()), x25519.String()[:20]) || strings.Contains(err.Error(), hybrid.String()[:24])) {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

// TestSecretPaths wants the files of secrets beside the file that names them.
func TestSecretPaths(t *testing.T) {
	p, dir, err := resolveText(t, recovering, strict.Setting{Key: `secrets."s3.env".key`, Value: "x"})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{p.Secrets[0].File, p.Secrets[1].File}
	if diff := cmp.Diff([]string{filepath.Join(dir, "secrets.yaml"), "/srv/s3.env"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	p, _, err = resolveText(t, recovering, strict.Setting{Key: `secrets."s3.env".file`, Value: "here.env"})
	if err != nil || p.Secrets[1].File != "here.env" {
		t.Errorf("file of the command line is %q, %v; want it as it was typed", p.Secrets[1].File, err)
	}
}

// TestNoRecovery wants the JSON of a profile without secrets to say nothing of
// them, and that of one with them to give the same profile.
func TestNoRecovery(t *testing.T) {
	for _, name := range Load().Names() {
		p, _, err := Load().Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.IsMedium() {
			continue
		}
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{`"age"`, `"secrets"`, `"restore"`, `"backup"`, `"kind"`, `"payload"`, `"installer"`} {
			if strings.Contains(string(data), key) {
				t.Errorf("%s has %s", name, key)
			}
		}
	}
	p, err := resolveOver("")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again Profile
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	p.Installer, p.Nix, p.Rescue = Installer{}, Nix{}, Rescue{} // as a set leaves them, which this one is not of
	if diff := cmp.Diff(p, again); diff != "" {
		t.Errorf("-before +after\n%s", diff)
	}
	for i, a := range []Age{{Recipient: "x"}, {Sources: []string{"esp"}}, {Timeout: 1}} {
		if a.IsZero() {
			t.Errorf("%d: %+v is zero", i, a)
		}
	}
}

// FuzzRecovery reads tables that may be anything. In those that are accepted no
// text can break out of a line, lead out of a folder or name what is not there.
func FuzzRecovery(f *testing.F) {
	_, tables, _ := strings.Cut(recovering, "\n")
	f.Add(tables)
	f.Add(strings.ReplaceAll(tables, "'\n", "\\n'\n"))
	f.Add(strings.ReplaceAll(tables, "'", `"`))
	f.Fuzz(func(t *testing.T, text string) {
		library := strict.Library{Kind: "profile", Builtin: fstest.MapFS{"a.toml": {Data: []byte(text)}}}
		var p Profile
		_, err := library.Resolve("a", nil, &p, func(found *strict.Findings) { checkRecovery(&p, found) })
		if err != nil {
			return
		}
		names := map[string]bool{"": true}
		words := []string{p.Age.Recipient, p.Restore.Disk, p.Restore.Repository, p.Restore.Host, p.Restore.Path}
		for _, s := range p.Secrets {
			names[s.Name] = true
			words = append(words, s.Name, s.File, s.Key, s.Owner, s.Group, s.Mode, s.Path)
			if strings.Contains(s.Name, "/") || len(p.Age.Sources) == 0 {
				t.Fatalf("accepted: %+v", s)
			}
		}
		for _, b := range p.Backup {
			words = append(append(append(words, b.Name, b.Disk, b.Repository, b.Schedule, b.RandomDelay), b.Paths...), b.Exclude...)
			if !names[b.Password] || !names[b.Environment] || b.Password == "" {
				t.Fatalf("accepted: %+v", b)
			}
		}
		if r := p.Restore.Repository; !names[p.Restore.Password] || r != "" && !filepath.IsLocal(r) {
			t.Fatalf("accepted: %+v", p.Restore)
		}
		for _, w := range words {
			if strings.ContainsAny(w, "\x00\t\r\n\x1b") {
				t.Fatalf("%q is accepted in %+v", w, p)
			}
		}
	})
}
