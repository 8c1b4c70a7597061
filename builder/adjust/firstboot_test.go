package adjust

import (
	"testing"

	"github.com/6FaNcY9/mkimage/profiles"
)

// TestHostKeys makes keys at the first boot, and refuses a server without.
func TestHostKeys(t *testing.T) {
	sshd := small("f /usr/sbin/sshd x", "f /usr/bin/ssh-keygen x")
	enabled := append(sshd, "f "+usrUnits+"ssh.service [Install];WantedBy=multi-user.target", "l /etc/systemd/system/multi-user.target.wants/ssh.service "+usrUnits+"ssh.service")
	with := profile()
	with.FirstBoot.Steps = []string{"host-keys"}
	without := profile()
	off := profile()
	off.Units.Disable = []string{"ssh.service"}
	const unit = "etc/systemd/system/" + hostKeysName
	const link = "etc/systemd/system/multi-user.target.wants/" + hostKeysName
	tests := []struct {
		name   string
		source []string
		in     profiles.Profile
		want   map[string]string
	}{
		{"asked", enabled, with, map[string]string{link: "-> /etc/systemd/system/" + hostKeysName}},
		{"no server", small(), with, map[string]string{unit: "none"}},
		{"server not enabled", sshd, without, map[string]string{unit: "none"}},
		{"server disabled", enabled, off, map[string]string{unit: "none"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := makeTree(t, test.source...)
			apply(t, tree, test.in)
			check(t, tree, test.want)
		})
	}
	refused(t, makeTree(t, enabled...), without, `first_boot.steps: lacks "host-keys", and ssh.service is enabled`)
	refused(t, makeTree(t, small("f /usr/sbin/sshd x")...), with, `"host-keys" needs /usr/bin/ssh-keygen`)
}

// TestZram configures the generator of a source that has it.
func TestZram(t *testing.T) {
	p := profile()
	p.Zram = profiles.Zram{Enable: true, Percent: 50}
	refused(t, makeTree(t, small()...), p, "zram.enable: needs /usr/lib/systemd/system-generators/zram-generator")
	tree := makeTree(t, small("f /usr/lib/systemd/system-generators/zram-generator x")...)
	apply(t, tree, p)
	check(t, tree, map[string]string{"etc/systemd/zram-generator.conf": "644 0:0 [zram0];zram-size = ram * 50 / 100;compression-algorithm = zstd;swap-priority = 100;"})
}

// TestUpdated stamps /etc and /var with the time of /usr, of Debian alone.
func TestUpdated(t *testing.T) {
	tree := makeTree(t, small("f /etc/ld.so.cache x")...)
	tree.Lookup("usr").Sec, tree.Lookup("usr").Nsec = 1_800_000_000, 7
	apply(t, tree, profile())
	for _, p := range []string{"etc/.updated", "var/.updated"} {
		check(t, tree, map[string]string{p: "644 0:0 # As systemd-update-done.service writes it: /usr had this time when the;# directory was made of it.;TIMESTAMP_NSEC=1800000000000000007;"})
		if e := tree.Lookup(p); e.Sec != 1_800_000_000 || e.Nsec != 7 {
			t.Errorf("%s: time %d.%d; want that of /usr", p, e.Sec, e.Nsec)
		}
	}
	tree = makeTree(t, small()...)
	apply(t, tree, profile())
	check(t, tree, map[string]string{"etc/.updated": "none"})
}
