package adjust

import (
	"slices"
	"strings"
)

// ownAddress is what a host's own name resolves to: Debian Reference, 5.1.1.
const ownAddress = "127.0.1.1"

// hostname writes /etc/hostname, and into /etc/hosts a line that resolves it
// without a network.
func (e *editor) hostname() error {
	name := e.plan.Profile.Hostname
	if err := e.write("/etc/hostname", name+"\n", 0o644); err != nil {
		return err
	}
	hosts, ok, err := e.read("/etc/hosts")
	if err != nil {
		return err
	}
	if !ok {
		hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	}
	// The machine that the source was made on had another name.
	kept := slices.DeleteFunc(lines(hosts), func(line string) bool {
		fields := strings.Fields(line)
		return len(fields) > 0 && fields[0] == ownAddress
	})
	return e.write("/etc/hosts", strings.Join(append(kept, ownAddress+" "+name), "\n")+"\n", 0o644)
}

const zoneinfo = "/usr/share/zoneinfo"

// timezone makes /etc/localtime a symlink, and /etc/timezone where Debian
// wants it. Without zone data in the source the system has UTC and nothing
// else.
func (e *editor) timezone() error {
	zone := e.plan.Profile.Locale.Timezone
	switch z := e.find(zoneinfo + "/" + zone); {
	case z != nil && z.IsRegular():
		if err := e.symlink("/etc/localtime", ".."+zoneinfo+"/"+zone); err != nil {
			return err
		}
	case zone == "UTC" || zone == "Etc/UTC":
		e.remove("/etc/localtime")
	case e.find(zoneinfo) == nil:
		e.Add("locale.timezone", "%s: the source has no time zones (%s); add the package tzdata", zone, zoneinfo)
	default:
		e.Add("locale.timezone", "%s: the source has no such time zone", zone)
	}
	if e.debian() {
		return e.write("/etc/timezone", zone+"\n", 0o644)
	}
	return nil
}

// locale writes the language where systemd and where Debian's PAM look for it.
func (e *editor) locale() error {
	text := "LANG=" + e.plan.Profile.Locale.Lang + "\n"
	if err := e.write("/etc/locale.conf", text, 0o644); err != nil {
		return err
	}
	if e.debian() {
		return e.write("/etc/default/locale", text, 0o644)
	}
	return nil
}

// keyboard writes the keymap of the console. On Debian vconsole.conf leads to
// the file of keyboard-configuration, which names layouts of X: those are
// named like keymaps up to the first dash.
func (e *editor) keyboard() error {
	keymap := e.plan.Profile.Locale.Keymap
	layout, _, _ := strings.Cut(keymap, "-")
	if e.debian() {
		text := "KEYMAP=" + keymap + "\nXKBMODEL=pc105\nXKBLAYOUT=" + layout + "\nXKBVARIANT=\nXKBOPTIONS=\nBACKSPACE=guess\n"
		if err := e.write("/etc/default/keyboard", text, 0o644); err != nil {
			return err
		}
	}
	if c := e.find("/etc/vconsole.conf"); c != nil && c == e.find("/etc/default/keyboard") {
		return nil
	}
	return e.write("/etc/vconsole.conf", "KEYMAP="+keymap+"\n", 0o644)
}

// resolver removes the name servers of the machine that the source was made
// on. A symlink was put there by the source, not by that machine.
func (e *editor) resolver() error {
	const conf = "/etc/resolv.conf"
	if c := e.lookup(conf); c != nil && c.IsSymlink() {
		return nil
	}
	if e.find("/usr/lib/systemd/systemd-resolved") != nil {
		return e.symlink(conf, "../run/systemd/resolve/stub-resolv.conf")
	}
	e.remove(conf)
	return nil
}

// debian reports whether the source is Debian or made from it.
func (e *editor) debian() bool {
	text, _, err := e.read("/etc/os-release")
	if err != nil {
		return false
	}
	for _, line := range lines(text) {
		key, value, _ := strings.Cut(line, "=")
		if (key == "ID" || key == "ID_LIKE") && slices.Contains(strings.Fields(strings.Trim(value, `"'`)), "debian") {
			return true
		}
	}
	return false
}
