package adjust

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/profiles"
)

func ada() profiles.User {
	return profiles.User{
		Name: "ada", UID: 1000, Gecos: "Ada L.", Groups: []string{"sudo", "wheel"}, Shell: "/bin/sh",
		PasswordFile: "hash", SSHKeys: []string{"ssh-ed25519 AAAA a", "ssh-rsa BBBB b"}, Autologin: true,
	}
}

// withUsers is the profile with users.
func withUsers(users ...profiles.User) profiles.Profile {
	p := profile()
	p.Users = users
	return p
}

// TestUsers adds two users to every file that knows of users.
func TestUsers(t *testing.T) {
	tree := makeTree(t, small(
		"f0600 /etc/skel/.profile x", "l /etc/skel/link .profile", "f /etc/skel/bin/tool y",
		"f /etc/subuid old:100000:65536;", "f /etc/subgid ",
	)...)
	tree.Lookup("etc/shadow").UID, tree.Lookup("etc/shadow").GID = 41, 42
	twice := ada()
	twice.Groups = append(twice.Groups, "sudo")
	p := withUsers(twice, profiles.User{Name: "bob", UID: 1001, Shell: "/bin/sh"})
	if err := Apply(tree, makePlan(t, p, layout()), Inputs{Passwords: map[string]string{"ada": "$y$hash", "bob": "unused"}}); err != nil {
		t.Fatal(err)
	}
	check(t, tree, map[string]string{
		"etc/passwd":  "644 0:0 root:x:0:0:root:/root:/bin/sh;bin:x:2:2::/bin:/bin/sh;ada:x:1000:1000:Ada L.:/home/ada:/bin/sh;bob:x:1001:1001::/home/bob:/bin/sh;",
		"etc/group":   "644 0:0 root:x:0:;bin:x:2:;sudo:x:27:ada;wheel:x:28:bin,ada;ada:x:1000:;bob:x:1001:;",
		"etc/shadow":  "640 41:42 root:!:19000:0:99999:7:::;bin:*:19000:0:99999:7:::;ada:$y$hash:19675:0:99999:7:::;bob:!:19675:0:99999:7:::;",
		"etc/gshadow": "640 0:0 root:*::;bin:*::;sudo:*::ada;wheel:*::bin,ada;ada:!::;bob:!::;",
		"etc/subuid":  "644 0:0 old:100000:65536;ada:165536:65536;bob:231072:65536;",
		"etc/subgid":  "644 0:0 ada:100000:65536;bob:165536:65536;",
		"home/ada":    "dir 700 1000:1000 4", "home/ada/.profile": "600 1000:1000 x", "home/ada/link": "-> .profile",
		"home/ada/bin": "dir 755 1000:1000 1", "home/ada/bin/tool": "644 1000:1000 y",
		"home/ada/.ssh": "dir 700 1000:1000 1", "home/ada/.ssh/authorized_keys": "600 1000:1000 ssh-ed25519 AAAA a;ssh-rsa BBBB b;",
		"home/bob": "dir 700 1001:1001 3",
		"etc/systemd/system/getty@tty1.service.d/autologin.conf":         "644 0:0 [Service];ExecStart=;ExecStart=-/usr/sbin/agetty --autologin ada --noreset --noclear - ${TERM};",
		"etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf": "644 0:0 [Service];ExecStart=;ExecStart=-/usr/sbin/agetty --autologin ada --noreset --noclear --keep-baud 115200,57600,38400,9600 - ${TERM};",
	})
}

// TestUsersLeast adds a user to a source that has next to no files of users.
func TestUsersLeast(t *testing.T) {
	tree := makeTree(t, "f /bin/sh x", "f /etc/passwd root:x:0:0::/root:/bin/sh")
	p := noTarget()
	p.Users = []profiles.User{{Name: "bob", UID: 7, Shell: "/bin/sh"}}
	apply(t, tree, p)
	check(t, tree, map[string]string{
		"etc/passwd": "644 0:0 root:x:0:0::/root:/bin/sh;bob:x:7:7::/home/bob:/bin/sh;", "etc/group": "644 0:0 bob:x:7:;",
		"etc/shadow": "600 0:0 root:!:19675:0:99999:7:::;bob:!:19675:0:99999:7:::;", "etc/gshadow": "none", "etc/subuid": "none", "home/bob": "dir 700 7:7 0",
	})
}

// TestRootLocked takes root's password from wherever a source keeps it.
func TestRootLocked(t *testing.T) {
	const locked = "root:!:19675:0:99999:7:::;"
	tests := []struct {
		name, passwd, shadow string
		want                 map[string]string
	}{
		{"none in passwd", "root::0:0::/root:/bin/sh;", "", map[string]string{"etc/passwd": "644 0:0 root:x:0:0::/root:/bin/sh;", "etc/shadow": "600 0:0 " + locked}},
		{"hash in passwd", "root:$6$x:0:0::/root:/bin/sh;", "root:$6$y:1::::::;", map[string]string{"etc/passwd": "644 0:0 root:x:0:0::/root:/bin/sh;", "etc/shadow": "644 0:0 root:!:1::::::;"}},
		{"no record in shadow", "root:x:0:0::/root:/bin/sh;", "bin:*:1::::::;", map[string]string{"etc/shadow": "644 0:0 bin:*:1::::::;" + locked}},
		{"no password in shadow", "root:x:0:0::/root:/bin/sh;", "root::1::::::;", map[string]string{"etc/shadow": "644 0:0 root:!:1::::::;"}},
		{"damaged record", "root:x:0:0::/root:/bin/sh;", "root;", map[string]string{"etc/shadow": "644 0:0 " + locked}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			source := []string{"f /bin/sh x", "f /etc/passwd " + test.passwd}
			if test.shadow != "" {
				source = append(source, "f /etc/shadow "+test.shadow)
			}
			tree := makeTree(t, source...)
			apply(t, tree, noTarget())
			check(t, tree, test.want)
		})
	}
}

// TestOrphans gives a new user nothing of one that the source forgot to take
// out of its shadow files.
func TestOrphans(t *testing.T) {
	tree := makeTree(t, "f /bin/sh x", "f /etc/passwd root:x:0:0::/root:/bin/sh;",
		"f /etc/shadow root:*:1::::::;bob:$6$old:1::::::;bob::1::::::;", "f /etc/gshadow bob:$6$old:eve:eve;")
	p := noTarget()
	p.Users = []profiles.User{{Name: "bob", UID: 7, Shell: "/bin/sh"}}
	apply(t, tree, p)
	check(t, tree, map[string]string{"etc/shadow": "644 0:0 root:!:1::::::;bob:!:19675:0:99999:7:::;", "etc/gshadow": "644 0:0 bob:!::;"})
}

// TestUsersRefused has one thing wrong at a time.
func TestUsersRefused(t *testing.T) {
	tests := []struct {
		name   string
		in     func(u *profiles.User)
		source []string
		want   string
	}{
		{"name taken", func(u *profiles.User) { u.Name = "bin" }, nil, "users[0].name: bin: the source has this user"},
		{"uid taken", func(u *profiles.User) { u.UID = 2 }, nil, "users[0].uid: 2: is of bin in the source"},
		{"gid taken", func(u *profiles.User) { u.UID = 27 }, nil, "users[0].uid: 27: is of the group sudo in the source"},
		{"group of another id", func(u *profiles.User) { u.Name = "sudo" }, nil, "users[0].uid: 1000: the source's group sudo has the id 27"},
		{"unknown group", func(u *profiles.User) { u.Groups = []string{"whell"} }, nil, "users[0].groups[0]: whell: the source has no such group; did you mean wheel?"},
		{"no shell", func(u *profiles.User) { u.Shell = "/bin/zsh" }, nil, "users[0].shell: /bin/zsh: is not in the source"},
		{"colon", func(u *profiles.User) { u.Gecos = "a:b" }, nil, "a colon or a line end"},
		{"no hash", func(u *profiles.User) { u.Autologin = false; u.PasswordFile = "missing" }, nil, "users[0].password_file: missing: expected one crypt(5) hash"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := ada()
			u.PasswordFile = ""
			test.in(&u)
			refused(t, makeTree(t, small(test.source...)...), withUsers(u), test.want)
		})
	}
	u := ada()
	for _, hash := range []string{"", "a:b", "a\n", "a b"} {
		err := Apply(makeTree(t, small()...), makePlan(t, withUsers(u), layout()), Inputs{Passwords: map[string]string{"ada": hash}})
		if fault.ClassOf(err) != fault.Config {
			t.Errorf("hash %q: %v; want a config error", hash, err)
		}
	}
	err := Apply(makeTree(t, small("f /etc/subuid a:b:c;")...), makePlan(t, withUsers(profiles.User{Name: "bob", UID: 9, Shell: "/bin/sh"}), layout()), Inputs{})
	if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "/etc/subuid") {
		t.Errorf("bad subuid: %v; want an input error", err)
	}
	none := makeTree(t, small()...)
	none.Lookup("usr/sbin").Remove(none.Lookup("usr/sbin/agetty"))
	u.PasswordFile = ""
	refused(t, none, withUsers(u), "autologin needs agetty")
	bin := makeTree(t, small("f /usr/bin/agetty x")...)
	bin.Lookup("usr/sbin").Remove(bin.Lookup("usr/sbin/agetty"))
	apply(t, bin, withUsers(u))
	if got := show(t, bin, "etc/systemd/system/getty@tty1.service.d/autologin.conf"); !strings.Contains(got, "-/usr/bin/agetty ") {
		t.Errorf("drop-in %q; want the agetty of the source", got)
	}
}

// TestAllAtOnce reports problems of several kinds together.
func TestAllAtOnce(t *testing.T) {
	u := ada()
	u.Shell, u.PasswordFile = "/bin/zsh", ""
	p := withUsers(u)
	p.Locale.Timezone, p.Units.Enable, p.Zram = "Europe/Vienna", []string{"no.service"}, profiles.Zram{Enable: true, Percent: 1}
	tree := makeTree(t, small()...)
	for _, want := range []string{"4 problems", "users[0].shell", "locale.timezone", "units.enable[0]", "zram.enable"} {
		refused(t, tree, p, want)
		tree = makeTree(t, small()...)
	}
}

// TestHomeKept leaves a home that the source has as it is.
func TestHomeKept(t *testing.T) {
	tree := makeTree(t, small("f /home/ada/x x", "f /etc/skel/y y")...)
	u := ada()
	u.PasswordFile = ""
	apply(t, tree, withUsers(u))
	check(t, tree, map[string]string{"home/ada/x": "644 0:0 x", "home/ada/y": "none"})
	if dir := tree.Lookup("home/ada"); dir.Type() != fstree.TypeDir || dir.Sec != sourceTime {
		t.Errorf("the home was changed")
	}
}
