package profiles

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
)

func TestBuiltin(t *testing.T) {
	set := Load()
	if diff := cmp.Diff([]string{"bandit-dev", "bandit-full", "bandit-installer", "bandit-minimal", "bandit-rescue", "server-home"}, set.Names()); diff != "" {
		t.Errorf("Names: -want +got\n%s", diff)
	}
	known := layouts.Load()
	for _, name := range set.Names() {
		p, _, err := set.Resolve(name, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Name != name || p.Description == "" || p.Extends != "" {
			t.Errorf("%s: name %q, description %q, extends %q", name, p.Name, p.Description, p.Extends)
		}
		if len(p.Description) > 80 {
			t.Errorf("%s: the description has %d bytes; want at most 80", name, len(p.Description))
		}
		if !known.Has(p.Layout) {
			t.Errorf("%s: no layout is named %q", name, p.Layout)
		}
	}
}

// TestBuiltinBoots holds what the boot of every built-in profile rests on.
func TestBuiltinBoots(t *testing.T) {
	for _, name := range Load().Names() {
		p, _, err := Load().Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.IsMedium() {
			continue // boots what its payload does
		}
		for _, module := range []string{"nvme", "ahci", "sd_mod", "usb_storage", "uas", "xhci_pci", "virtio_pci", "virtio_blk", "virtio_scsi", "btrfs", "overlay"} {
			if !slices.Contains(p.Initramfs.Modules, module) {
				t.Errorf("%s: the initramfs lacks %s", name, module)
			}
		}
		for _, pkg := range []string{"linux-image-amd64", "systemd", "systemd-sysv", "systemd-boot-efi", "udev", "dbus", "login", "btrfs-progs"} {
			if !slices.Contains(p.Packages, pkg) {
				t.Errorf("%s: the system lacks %s", name, pkg)
			}
		}
		// The last console is /dev/console, where tests and servers read.
		n := len(p.Kernel.Parameters)
		if n < 2 || p.Kernel.Parameters[n-2] != "console=tty0" || p.Kernel.Parameters[n-1] != "console=ttyS0,115200" {
			t.Errorf("%s: kernel parameters end in %q", name, p.Kernel.Parameters)
		}
		for _, u := range p.Users {
			if u.PasswordFile != "" {
				t.Errorf("%s: a password of a built-in profile would be everybody's", name)
			}
		}
	}
}

// resolveText resolves a profile that a user wrote.
func resolveText(t *testing.T, text string, sets ...strict.Setting) (Profile, string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, _, err := Load(dir).Resolve("mine", sets)
	return p, dir, err
}

func TestServer(t *testing.T) {
	p, _, err := Load().Resolve("server-home", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Roles, []string{"server"}) || p.Layout != "btrfs-server" || p.Swap.Policy != "none" || len(p.Kernel.Parameters) != 2 {
		t.Errorf("%+v", p)
	}
}

// TestPaths wants paths of the host to be beside the file that names them.
func TestPaths(t *testing.T) {
	tests := []struct {
		name, in string
		want     func(dir string) string
	}{
		{"archive", "tar:rootfs.tar", func(dir string) string { return "tar:" + filepath.Join(dir, "rootfs.tar") }},
		{"above", "dir:../x", func(dir string) string { return "dir:" + filepath.Join(filepath.Dir(dir), "x") }},
		{"absolute", "dir:/srv/root", func(string) string { return "dir:/srv/root" }},
		{"standard input", "tar:-", func(string) string { return "tar:-" }},
		{"generations", "nix:/nix/store/00000000000000000000000000000000-x,/nix/store/11111111111111111111111111111111-y", func(string) string {
			return "nix:/nix/store/00000000000000000000000000000000-x,/nix/store/11111111111111111111111111111111-y"
		}},
		{"store path", "nix:/nix/store/00000000000000000000000000000000-x", func(string) string { return "nix:/nix/store/00000000000000000000000000000000-x" }},
		{"flake", "nix:.#fox", func(dir string) string { return "nix:" + dir + "#fox" }},
		{"flake above", "nix:../f?dir=a/../b#fox", func(dir string) string { return "nix:" + filepath.Dir(dir) + "/f?dir=a/../b#fox" }},
		{"flake elsewhere", "nix:/f#fox", func(string) string { return "nix:/f#fox" }},
		{"flake of a registry", "nix:config#fox", func(string) string { return "nix:config#fox" }},
		{"flake by URL", "nix:git+https://host/f#fox", func(string) string { return "nix:git+https://host/f#fox" }},
		{"no path", "debian:sid", func(string) string { return "debian:sid" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, dir, err := resolveText(t, "extends = 'bandit-minimal'\nsource = '"+test.in+"'\nusers = [{name = 'bandit', password_file = 'hash'}]")
			if err != nil {
				t.Fatal(err)
			}
			if want := test.want(dir); p.Source != want {
				t.Errorf("source is %q; want %q", p.Source, want)
			}
			if want := filepath.Join(dir, "hash"); p.Users[0].PasswordFile != want {
				t.Errorf("password_file is %q; want %q", p.Users[0].PasswordFile, want)
			}
		})
	}
	p, dir, err := resolveText(t, "extends = 'bandit-minimal'\nnix.store = 'chroot'\n")
	if err != nil || p.Nix.Store != filepath.Join(dir, "chroot") {
		t.Errorf("store %q, %v", p.Nix.Store, err)
	}
	for _, on := range []bool{false, true} {
		p, _, err = resolveText(t, fmt.Sprintf("extends = 'bandit-minimal'\nnix.auto-optimise-store = %v\n", on))
		if err != nil || p.Nix.AutoOptimiseStore == nil || *p.Nix.AutoOptimiseStore != on {
			t.Errorf("auto-optimise-store %v, %v; want %v", p.Nix.AutoOptimiseStore, err, on)
		}
	}
	p, _, err = resolveText(t, "extends = 'bandit-minimal'\n", strict.Setting{Key: "source", Value: "tar:here.tar"})
	if err != nil || p.Source != "tar:here.tar" {
		t.Errorf("source of the command line is %q, %v; want it as it was typed", p.Source, err)
	}
}

// TestCheck changes one thing of bandit-minimal.
func TestCheck(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2cHlGhDmGbTmvRmHkDMCBwMzh6N0f1wRJxVhHqY3pE"
	second := func(keys string) string {
		return "users = [{name = 'eve', uid = 1001, shell = '/bin/sh', " + keys + "}]"
	}
	tests := []struct {
		name, change, want string // want "" means that it is valid
	}{
		{"nothing", "", ""},
		{"hostname at the most", "hostname = '" + strings.Repeat("a", 63) + "'", ""},
		{"hostname too long", "hostname = '" + strings.Repeat("a", 64) + "'", "hostname: expected 1 to 63 of a-z 0-9 -"},
		{"hostname of one letter", "hostname = 'a'", ""},
		{"hostname empty", "hostname = ''", "hostname: expected 1 to 63"},
		{"hostname with a dash first", "hostname = '-a'", "hostname: expected 1 to 63"},
		{"hostname with a dash last", "hostname = 'a-'", "hostname: expected 1 to 63"},
		{"hostname with a dot", "hostname = 'a.b'", "hostname: expected 1 to 63"},
		{"hostname with a newline", "hostname = \"a\\n\"", "hostname: expected 1 to 63"},
		{"role", "roles = ['sever']", `roles[1]: expected one of desktop, laptop, server, found "sever"; did you mean server?`},
		{"layout", "layout = '../x'", `layout: expected the name of a layout, found "../x"`},
		{"built-in layout", "layout = 'builtin:btrfs-server'", ""},
		{"source", "source = 'debain:trixie'", `source: expected debian:SUITE, tar:FILE, dir:PATH, nix:STOREPATH, nix:FLAKE#HOST or cache:URL#STOREPATH, found "debain:trixie"; did you mean debian?`},
		{"source without a kind", "source = 'rootfs.tar'", "source: expected debian:SUITE"},
		{"source without a suite", "source = 'debian:'", `source: expected a suite of Debian, such as debian:trixie, found "debian:"`},
		{"generation of a cache that is none", "source = 'cache:x#/nix/store/00000000000000000000000000000000-x,y'", "source: expected cache:URL#/nix/store/HASH-NAME, found"},
		{"generation of a store that is none", "source = 'nix:/nix/store/00000000000000000000000000000000-x,'", "source: expected nix:/nix/store/HASH-NAME or nix:FLAKE#HOST, found"},
		{"source without a flake", "source = 'nix:#fox'", `source: expected nix:/nix/store/HASH-NAME or nix:FLAKE#HOST, found "nix:#fox"`},
		{"source without a host", "source = 'nix:.'", `source: expected nix:/nix/store/HASH-NAME or nix:FLAKE#HOST, found "nix:."`},
		{"source without a path", "source = 'tar:'", "source: expected a path after tar:"},
		{"package", "packages = ['Vim']", `]: expected the name of a Debian package, found "Vim"`},
		{"package of another source", "source = 'dir:/x'\npackages = ['Vim']", ""},
		{"parameter with a space", "kernel.parameters = ['a b']", `]: expected one parameter`},
		{"parameter with quotes", "kernel.parameters = ['a=\"b\"']", `]: expected one parameter`},
		{"parameter without a name", "kernel.parameters = ['=a']", `]: expected one parameter`},
		{"parameter of the plan", "kernel.parameters = ['root=/dev/sda2']", "]: root is decided by the layout"},
		{"parameter with equals signs", "kernel.parameters = ['a=b=c,d', 'quiet']", ""},
		{"module", "initramfs.modules = ['ext4.ko']", `]: expected the name of a kernel module without .ko, found "ext4.ko"`},
		{"initramfs of mkimage", "initramfs.from = 'own'", ""},
		{"initrd of a NixOS", "initramfs.from = 'source'\nsource = 'nix:.#fox'", ""},
		{"initrd of what may be a NixOS", "initramfs.from = 'source'\nsource = 'dir:x'", ""},
		{"initrd of a Debian", "initramfs.from = 'source'", `initramfs.from: "source" is for a NixOS, found source "debian:trixie"`},
		{"initrd of nobody", "initramfs.from = 'ours'", `initramfs.from: expected one of own, source, found "ours"`},
		{"initrd in a unified image", "initramfs.from = 'source'\nsource = 'nix:.#fox'\nboot.loader = 'uki'", `initramfs.from: "source": a unified kernel image has the initramfs of mkimage alone`},
		{"parameter of the prelude", "kernel.parameters = ['rdinit=/x']", "]: rdinit is decided by the layout"},
		{"firmware", "initramfs.firmware = ['amdgpu/*.bin']", ""},
		{"firmware that is absolute", "initramfs.firmware = ['/lib/firmware/x']", "initramfs.firmware[0]: expected a path or glob pattern below /usr/lib/firmware"},
		{"firmware above", "initramfs.firmware = ['../x']", "initramfs.firmware[0]: expected a path or glob pattern"},
		{"firmware pattern", "initramfs.firmware = ['a[']", "initramfs.firmware[0]: expected a path or glob pattern"},
		{"loader", "boot.loader = 'lilo'", `boot.loader: expected one of systemd-boot, grub, uki, found "lilo"`},
		{"GRUB", "boot.loader = 'grub'", ""},
		{"GRUB of the host", "boot.loader = 'grub'\nboot.grub = 'grubx64.efi'", ""},
		{"GRUB beside another loader", "boot.grub = 'grubx64.efi'", `boot.grub: is for boot.loader = "grub", found "systemd-boot"`},
		{"timeout at the least", "boot.timeout = 0", ""},
		{"timeout below", "boot.timeout = -1", "boot.timeout: expected 0 to 60 seconds, found -1"},
		{"timeout at the most", "boot.timeout = 60", ""},
		{"timeout above", "boot.timeout = 61", "boot.timeout: expected 0 to 60 seconds, found 61"},
		{"rescue without a shell", "initramfs.shell = false", "boot.rescue: the entry ends in a shell that the initramfs does not have"},
		{"neither", "initramfs.shell = false\nboot.rescue = false", ""},
		{"language", "locale.lang = 'de_AT.UTF-8'", ""},
		{"language of a form", "locale.lang = 'German'", "locale.lang: expected a locale, such as C.UTF-8 or en_US.UTF-8"},
		{"time zone", "locale.timezone = 'America/Argentina/Buenos_Aires'", ""},
		{"time zone above", "locale.timezone = '../etc/passwd'", "locale.timezone: expected a time zone"},
		{"keymap", "locale.keymap = 'us;reboot'", "locale.keymap: expected a keymap"},

		{"second user", second("ssh_keys = ['" + key + " eve']"), ""},
		{"user name", "users = [{name = 'Eve', uid = 1001, shell = '/bin/sh'}]", "users.Eve: expected a name of 1 to 31"},
		{"user name at the most", "users = [{name = '" + strings.Repeat("e", 31) + "', uid = 1001, shell = '/bin/sh'}]", ""},
		{"user name too long", "users = [{name = '" + strings.Repeat("e", 32) + "', uid = 1001, shell = '/bin/sh'}]", ": expected a name of 1 to 31"},
		{"root", "users = [{name = 'root', uid = 1001, shell = '/bin/sh'}]", "users.root: expected a name of 1 to 31 of a-z 0-9 _ - that begins with a letter, and not root"},
		{"uid at the least", "users = [{name = 'bandit', uid = 1000}]", ""},
		{"uid below", "users = [{name = 'bandit', uid = 999}]", "users.bandit.uid: expected 1000 to 60000, found 999"},
		{"uid at the most", "users = [{name = 'bandit', uid = 60000}]", ""},
		{"uid above", "users = [{name = 'bandit', uid = 60001}]", "users.bandit.uid: expected 1000 to 60000, found 60001"},
		{"uid twice", "users = [{name = 'bandit', uid = 1001}, {name = 'eve', uid = 1001, shell = '/bin/sh'}]", "users.eve.uid: 1001 is the uid of bandit"},
		{"autologin twice", second("autologin = true"), "users.eve.autologin: the console logs bandit in already"},
		{"full name", second("gecos = 'Eve: admin'"), "users.eve.gecos: expected text without colons"},
		{"group", second("groups = ['a b']"), `users.eve.groups[0]: expected the name of a group, found "a b"`},
		{"own group", second("groups = ['eve']"), "users.eve.groups[0]: eve is the user's own group"},
		{"shell", "users = [{name = 'bandit', shell = 'bash'}]", `users.bandit.shell: expected an absolute path, such as /bin/bash, found "bash"`},
		{"password in the place of a file", second("password_file = '$6$abc'"), "users.eve.password_file: expected the path of a file that holds the hash, found what looks like a hash"},
		{"password", second("password = 'x'"), "users.eve.password: unknown key; did you mean password_file?"},
		{"key type", second("ssh_keys = ['ssh-dss AAAA eve']"), "users.eve.ssh_keys[0]: expected a public key"},
		{"key base64", second("ssh_keys = ['ssh-ed25519 AAA! eve']"), "users.eve.ssh_keys[0]: expected a public key"},
		{"key of two lines", second(`ssh_keys = ["` + key + `\nssh-rsa AAAA"]`), "users.eve.ssh_keys[0]: expected a public key"},
		{"private key", second("ssh_keys = ['-----BEGIN OPENSSH PRIVATE KEY-----']"), `found "-----BEGIN OPENSSH PRIVA..."`},

		{"unit", "units.enable = ['ssh.service', 'getty@tty2.service', 'x\\x2dy.mount']", ""},
		{"unit without a suffix", "units.enable = ['ssh']", `units.enable[0]: expected a systemd unit with its suffix, such as ssh.service, found "ssh"`},
		{"unit with a path", "units.mask = ['../x.service']", "units.mask[1]: expected a systemd unit"},
		{"unit at the most", "units.enable = ['" + strings.Repeat("u", 247) + ".service']", ""},
		{"unit too long", "units.enable = ['" + strings.Repeat("u", 248) + ".service']", "units.enable[0]: expected a systemd unit"},
		{"unit twice", "units.enable = ['a.service']\nunits.mask = ['a.service']", "units.mask[1]: a.service is in units.enable too"},
		{"target", "units.target = 'ssh.service'", `units.target: expected a target, such as multi-user.target, found "ssh.service"`},
		{"target masked", "units.mask = ['multi-user.target']", "units.target: multi-user.target is in units.mask too"},
		{"step", "first_boot.steps = ['host-key']", `]: expected one of machine-id, host-keys, grow, swapfile, found "host-key"`},
		{"swap", "swap.policy = 'suspend'", `swap.policy: expected one of none, swapfile, hibernate, found "suspend"`},
		{"zram at the least", "zram.percent = 1", ""},
		{"zram below", "zram.percent = 0", "zram.percent: expected 1 to 100, found 0"},
		{"zram at the most", "zram.percent = 100", ""},
		{"zram above", "zram.percent = 101", "zram.percent: expected 1 to 100, found 101"},
		{"zram off", "zram = {enable = false, percent = 0}", ""},
		{"promise", "tests.promises = ['boots']", `]: expected one of boot, mounts,`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := resolveText(t, "extends = 'bandit-minimal'\n"+test.change)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s: %v", test.change, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != fault.Config):
				t.Errorf("%s:\n%v\nwant\n%s", test.change, err, test.want)
			}
		})
	}
}

// TestNothing wants every key that must be set to be named, all at once.
func TestNothing(t *testing.T) {
	_, dir, err := resolveText(t, "")
	if err == nil {
		t.Fatal("an empty profile is valid")
	}
	for _, key := range []string{"hostname", "layout", "source", "boot.loader", "locale.lang", "locale.timezone", "locale.keymap", "units.target", "swap.policy"} {
		if !strings.Contains(err.Error(), dir+"/mine.toml: "+key+": ") {
			t.Errorf("%s is not named in\n%v", key, err)
		}
	}
}

// TestInitramfsOwn: what is so without a word is the same when it is said.
func TestInitramfsOwn(t *testing.T) {
	for in, want := range map[string]string{"own": "", "source": "source"} {
		p, _, err := resolveText(t, "extends = 'bandit-minimal'\nsource = 'nix:.#fox'\ninitramfs.from = '"+in+"'\n")
		if err != nil || p.Initramfs.From != want || p.Initramfs.OfSource() != (in == "source") {
			t.Errorf("initramfs.from %q is %q, %v; want %q", in, p.Initramfs.From, err, want)
		}
	}
}
