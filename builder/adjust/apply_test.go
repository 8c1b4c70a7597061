package adjust

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

const root = "PARTUUID=4a909c07-a930-8d56-9bde-1a3b13c0f5c4"
const esp = "PARTUUID=e856e094-f85f-8cc4-8fa4-22112b16d814"

// TestFstab writes the mounts with columns below each other.
func TestFstab(t *testing.T) {
	tree := makeTree(t, small("f /etc/fstab UNCONFIGURED;")...)
	apply(t, tree, profile())
	want := strings.Join([]string{
		"# what                                        where type  options                            dump pass",
		root + " /     btrfs subvol=@,noatime                   0    0",
		esp + " /boot vfat  umask=0077                         0    2",
		root + " /home btrfs subvol=@home,noatime               0    0",
		root + " /swap btrfs subvol=@swap,noatime               0    0",
		root + " /var  btrfs subvol=@var,noatime,x-initrd.mount 0    0",
		"/swap/swapfile                                none  swap  defaults                           0    0",
	}, ";") + ";"
	check(t, tree, map[string]string{"etc/fstab": "644 0:0 " + want})
}

// TestNames puts names, zone, language and keymap in their places.
func TestNames(t *testing.T) {
	vienna := profile()
	vienna.Locale = profiles.Locale{Lang: "de_AT.UTF-8", Timezone: "Europe/Vienna", Keymap: "de-latin1"}
	zones := []string{"f /usr/share/zoneinfo/Europe/Vienna x", "l /etc/localtime /usr/share/zoneinfo/Etc/UTC"}
	tests := []struct {
		name   string
		source []string
		in     profiles.Profile
		want   map[string]string
	}{
		{"Debian", small(zones...), vienna, map[string]string{
			"etc/hostname": "644 0:0 demo;", "etc/hosts": "644 0:0 127.0.0.1 localhost;::1 localhost ip6-localhost ip6-loopback;127.0.1.1 demo;",
			"etc/localtime": "-> ../usr/share/zoneinfo/Europe/Vienna", "etc/timezone": "644 0:0 Europe/Vienna;",
			"etc/locale.conf": "644 0:0 LANG=de_AT.UTF-8;", "etc/default/locale": "644 0:0 LANG=de_AT.UTF-8;",
			"etc/vconsole.conf":    "644 0:0 KEYMAP=de-latin1;",
			"etc/default/keyboard": "644 0:0 KEYMAP=de-latin1;XKBMODEL=pc105;XKBLAYOUT=de;XKBVARIANT=;XKBOPTIONS=;BACKSPACE=guess;",
		}},
		{"Debian with links", small("l /etc/default/locale ../locale.conf", "f /etc/locale.conf old", "l /etc/vconsole.conf default/keyboard", "f /etc/default/keyboard old"), profile(), map[string]string{
			"etc/locale.conf": "644 0:0 LANG=C.UTF-8;", "etc/default/locale": "-> ../locale.conf", "etc/vconsole.conf": "-> default/keyboard",
			"etc/default/keyboard": "644 0:0 KEYMAP=us;XKBMODEL=pc105;XKBLAYOUT=us;XKBVARIANT=;XKBOPTIONS=;BACKSPACE=guess;",
		}},
		{"another distribution", []string{"f /usr/lib/os-release ID=fedora;", "l /etc/os-release ../usr/lib/os-release"}, noTarget(), map[string]string{
			"etc/timezone": "none", "etc/default/locale": "none", "etc/default/keyboard": "none", "etc/localtime": "none", "etc/vconsole.conf": "644 0:0 KEYMAP=us;",
		}},
		{"derivative", []string{`f /etc/os-release ID=x;ID_LIKE="ubuntu debian";`}, noTarget(), map[string]string{"etc/timezone": "644 0:0 UTC;"}},
		{"hosts of another machine", small("f /etc/hosts 127.0.0.1 localhost;127.0.1.1 old;\t127.0.1.1\told.lan old;127.0.1.10 ten;;# 127.0.1.1 x;"), profile(), map[string]string{
			"etc/hosts": "644 0:0 127.0.0.1 localhost;127.0.1.10 ten;;# 127.0.1.1 x;127.0.1.1 demo;"}},
		{"hosts empty", small("f /etc/hosts "), profile(), map[string]string{"etc/hosts": "644 0:0 127.0.1.1 demo;"}},
		{"hosts without an end", small("f /etc/hosts 127.0.0.1 localhost"), profile(), map[string]string{"etc/hosts": "644 0:0 127.0.0.1 localhost;127.0.1.1 demo;"}},
		{"no zones, UTC", small("l /etc/localtime /usr/share/zoneinfo/Europe/Vienna"), profile(), map[string]string{"etc/localtime": "none"}},
		{"resolver of the host", small("f /etc/resolv.conf nameserver 10.0.0.1;"), profile(), map[string]string{"etc/resolv.conf": "none"}},
		{"resolver of the source", small("l /etc/resolv.conf ../run/x"), profile(), map[string]string{"etc/resolv.conf": "-> ../run/x"}},
		{"resolved", small("f /etc/resolv.conf x", "f /usr/lib/systemd/systemd-resolved x"), profile(), map[string]string{"etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := makeTree(t, test.source...)
			apply(t, tree, test.in)
			check(t, tree, test.want)
		})
	}
	refused(t, makeTree(t, small()...), vienna, "locale.timezone: Europe/Vienna: the source has no time zones")
	refused(t, makeTree(t, small("f /usr/share/zoneinfo/Europe/Berlin x")...), vienna, "locale.timezone: Europe/Vienna: the source has no such time zone")
}

// noTarget is a profile for sources without units.
func noTarget() profiles.Profile {
	p := profile()
	p.Units.Target = ""
	return p
}

// TestClean takes out what belongs to the machine that the source was made on.
func TestClean(t *testing.T) {
	tree := makeTree(t, small(
		"f /boot/vmlinuz-6 x", "f /boot/efi/x x", "l /vmlinuz boot/vmlinuz-6", "l /initrd.img usr/lib/os-release",
		"f /dev/null x", "f /run/x x", "f /tmp/x/y x", "f /var/tmp/x x", "f /proc/x x", "f /sys/x x",
		"f0444 /etc/machine-id 0123;", "f /var/lib/dbus/machine-id 0123;", "f /var/lib/systemd/random-seed x",
		"f0600 /etc/ssh/ssh_host_rsa_key x", "f /etc/ssh/ssh_host_rsa_key.pub x", "f /etc/ssh/ssh_host_ed25519_key-cert.pub x", "f /etc/ssh/sshd_config x",
		"f /var/cache/apt/archives/x.deb x", "d /var/cache/apt/archives/partial", "f /var/lib/apt/lists/x x", "f /var/lib/apt/extended_states x",
		"f0600 /var/cache/ldconfig/aux-cache x", "f /var/log/dpkg.log x", "f0640 /var/log/apt/term.log x", "f /var/log/README x", "f /var/log/journal/0123/x x",
	)...)
	apply(t, tree, profile())
	check(t, tree, map[string]string{
		"boot": "dir 755 0:0 0", "vmlinuz": "none", "initrd.img": "-> usr/lib/os-release",
		"dev": "dir 755 0:0 0", "run": "dir 755 0:0 0", "tmp": "dir 755 0:0 0", "var/tmp": "dir 755 0:0 0", "proc": "dir 755 0:0 0", "sys": "dir 755 0:0 0",
		"etc/machine-id": "644 0:0 ", "var/lib/dbus/machine-id": "-> /etc/machine-id", "var/lib/systemd/random-seed": "none",
		"etc/ssh": "dir 755 0:0 1", "etc/ssh/sshd_config": "644 0:0 x",
		"var/cache/apt/archives": "dir 755 0:0 1", "var/cache/apt/archives/partial": "dir 755 0:0 0", "var/lib/apt/lists": "dir 755 0:0 0",
		"var/lib/apt/extended_states": "644 0:0 x", "var/cache/ldconfig": "dir 755 0:0 0",
		"var/log/dpkg.log": "644 0:0 ", "var/log/apt/term.log": "640 0:0 ", "var/log/README": "644 0:0 x", "var/log/journal": "dir 755 0:0 0",
		"home": "dir 755 0:0 0", "swap": "dir 755 0:0 0",
	})
}

// TestTimes gives everything that is made the plan's epoch, and leaves the
// rest alone.
func TestTimes(t *testing.T) {
	p := profile()
	p.Users = []profiles.User{{Name: "ada", UID: 1000, Shell: "/bin/sh", Autologin: true, SSHKeys: []string{"k"}}}
	tree := makeTree(t, small("f /etc/skel/.bashrc x")...)
	before := map[string]bool{}
	for e := range tree.All() {
		before[e.Path()] = true
	}
	apply(t, tree, p)
	made := 0
	for e := range tree.All() {
		switch {
		case e.Sec == 1_700_000_000:
			made++
		case !before[e.Path()] && e.Name != ".bashrc":
			t.Errorf("%s: time %d; want the epoch of the plan", e.Path(), e.Sec)
		case e.Sec != sourceTime && e.Path() != ".":
			t.Errorf("%s: time %d; want that of the source", e.Path(), e.Sec)
		}
	}
	if made < 15 {
		t.Errorf("%d entries have the epoch; want those of a system", made)
	}
}

// TestHardLink leaves the other name of a file that is replaced alone.
func TestHardLink(t *testing.T) {
	tree := makeTree(t, small("f /etc/hostname old")...)
	if _, err := tree.Lookup("etc").Add("copy", tree.Lookup("etc/hostname").Inode); err != nil {
		t.Fatal(err)
	}
	apply(t, tree, profile())
	check(t, tree, map[string]string{"etc/hostname": "644 0:0 demo;", "etc/copy": "644 0:0 old"})
}

// TestShapes does for NixOS and for other systems what makes sense there.
func TestShapes(t *testing.T) {
	tree := makeTree(t, "d /nix/store/x-systemd/lib", "d /etc", "f /tmp/x x", "f /etc/machine-id 0123")
	p := profile()
	p.Units.Enable, p.Zram = []string{"x.service"}, profiles.Zram{Enable: true, Percent: 50}
	apply(t, tree, p)
	check(t, tree, map[string]string{
		"etc": "dir 755 0:0 1", "tmp": "dir 755 0:0 0", "home": "dir 755 0:0 0", "boot": "dir 755 0:0 0", "var": "dir 755 0:0 0",
	})
	tree = makeTree(t, "f /sbin/openrc x", "f /etc/passwd root:x:0:0::/root:/bin/sh;")
	refused(t, tree, p, "units.enable: the source has no systemd")
	tree = makeTree(t, "f /sbin/openrc x", "f /etc/passwd root:x:0:0::/root:/bin/sh;")
	apply(t, tree, noTarget())
	check(t, tree, map[string]string{"etc/hostname": "644 0:0 demo;", "etc/systemd": "none", "etc/gshadow": "none"})
}

// TestNeedSystemd names everything that a source without systemd cannot do, in
// one order.
func TestNeedSystemd(t *testing.T) {
	p := withUsers(profiles.User{Name: "ada", UID: 1000, Shell: "/bin/sh", Autologin: true})
	p.Units = profiles.Units{Enable: []string{"a.service"}, Disable: []string{"b.service"}, Mask: []string{"c.service"}}
	p.Zram, p.FirstBoot.Steps = profiles.Zram{Enable: true, Percent: 50}, []string{"host-keys"}
	source := []string{"f /bin/sh x", "f /sbin/openrc x", "f /etc/passwd root:x:0:0::/root:/bin/sh;"}
	const no = ": the source has no systemd (usr/lib/systemd/systemd)"
	want := []string{"users", "units.enable", "units.disable", "units.mask", "first_boot.steps", "zram.enable"}
	refused(t, makeTree(t, append(source, "f /usr/sbin/sshd x")...), p, "6 problems\n"+strings.Join(want, no+"\n")+no)
	refused(t, makeTree(t, source...), p, "5 problems\n")
}

// TestIgnored is empty for what is no NixOS, and for that names what a profile
// says in vain.
func TestIgnored(t *testing.T) {
	full := withUsers(ada())
	full.FirstBoot.Steps, full.Zram = []string{"machine-id"}, profiles.Zram{Enable: true, Percent: 50}
	least := noTarget()
	least.FirstBoot.Steps = []string{"grow", "swapfile"} // the initramfs does them
	tests := []struct {
		name   string
		source []string
		in     profiles.Profile
		want   string
	}{
		{"Debian", small("d /nix/store"), full, ""},
		{"without systemd", []string{"f /sbin/openrc x"}, full, ""},
		{"NixOS", []string{"d /nix/store/x"}, full, "hostname locale users units first_boot zram"},
		{"NixOS, least", []string{"d /nix/store/x"}, least, "hostname locale units"},
		{"NixOS, recovery", []string{"d /nix/store/x"}, recovering(), "hostname locale users units"},
	}
	for _, test := range tests {
		if got := strings.Join(Ignored(makeTree(t, test.source...), &test.in), " "); got != test.want {
			t.Errorf("%s: %q; want %q", test.name, got, test.want)
		}
	}
}

// TestPersist moves what survives into the persistent subvolume.
func TestPersist(t *testing.T) {
	l := layout()
	l.Subvolumes[2] = layouts.Subvolume{Name: "@persist", Mount: "/persist", Early: true}
	l.Tmpfs = layouts.TmpfsRoot{Size: "2G", Mode: "755"}
	l.Persist = layouts.Persist{Subvolume: "@persist", Directories: []string{"/etc/ssh", "/srv/data"}, Files: []string{"/etc/machine-id", "/etc/adjtime"}}
	tree := makeTree(t, small("f /etc/ssh/deep/x text", "f /etc/machine-id 0123")...)
	tree.Lookup("etc/ssh").Mode, tree.Lookup("etc/ssh").GID = 0o40700, 7
	if err := Apply(tree, makePlan(t, profile(), l), Inputs{}); err != nil {
		t.Fatal(err)
	}
	check(t, tree, map[string]string{
		"etc/ssh": "dir 700 0:7 0", "persist/etc/ssh": "dir 700 0:7 1", "persist/etc/ssh/deep/x": "644 0:0 text",
		"srv/data": "dir 755 0:0 0", "persist/srv/data": "dir 755 0:0 0",
		"etc/machine-id": "644 0:0 ", "persist/etc/machine-id": "644 0:0 ", "etc/adjtime": "644 0:0 ", "persist/etc/adjtime": "644 0:0 ",
	})
	const commit = "etc/systemd/system/systemd-machine-id-commit.service"
	check(t, tree, map[string]string{commit: "-> /dev/null"})
	l.Persist.Files = l.Persist.Files[1:]
	other := makeTree(t, small()...)
	if err := Apply(other, makePlan(t, profile(), l), Inputs{}); err != nil {
		t.Fatal(err)
	}
	check(t, other, map[string]string{commit: "none"})
	if tree.Lookup("etc/adjtime").Inode == tree.Lookup("persist/etc/adjtime").Inode {
		t.Error("a mount point is a hard link of what is mounted there")
	}
	if fstab := show(t, tree, "etc/fstab"); strings.Contains(fstab, "tmpfs") || !strings.Contains(fstab, "/persist/etc/ssh") {
		t.Errorf("fstab %q; want the bind mounts and no tmpfs", fstab)
	}
	for _, bad := range [][]string{{"d /etc/adjtime"}, {"f /srv/data x"}, {"l /etc/adjtime x"}, {"d /etc/ssh", "d /persist/etc/ssh"}} {
		err := Apply(makeTree(t, small(bad...)...), makePlan(t, profile(), l), Inputs{})
		if fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), "layout.persist") {
			t.Errorf("%q: %v; want a config error", bad, err)
		}
	}
}

// TestHidden refuses a source with files where an empty subvolume goes.
func TestHidden(t *testing.T) {
	refused(t, makeTree(t, small("f /swap/x x")...), profile(), "@swap: mounted at /swap, would hide swap/x of the source")
}

// TestDamaged reports sources that cannot be what they say.
func TestDamaged(t *testing.T) {
	big := makeTree(t, small()...)
	big.Lookup("etc/passwd").Size = maxText + 1
	tests := []struct {
		name string
		tree []string
		want string
	}{
		{"file for a directory", []string{"f /etc x"}, "/etc: is a regular file, expected a directory"},
		{"directory for a file", small("d /etc/hostname"), "/etc/hostname: is a directory"},
		{"loop", []string{"l /etc etc"}, "more than 40 symlinks"},
		{"dangling directory", []string{"l /etc nowhere"}, "etc: exists already"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Apply(makeTree(t, test.tree...), makePlan(t, noTarget(), layout()), Inputs{})
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Apply: %v; want an input error with %q", err, test.want)
			}
		})
	}
	if err := Apply(big, makePlan(t, profile(), layout()), Inputs{}); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "expected at most 1048576") {
		t.Errorf("a passwd of more than 1 MiB: %v", err)
	}
}
