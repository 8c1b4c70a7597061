// Package adjust makes a plan's system out of a source: it puts files,
// directories and symlinks into the source's tree, and takes out what must not
// be in an image. Nothing of the source is executed, nothing of the host is
// read, and everything made has the plan's epoch as its time.
//
// What is done depends on what is in the tree:
//
//   - Every source: mount points; what persists is moved to where it is bound
//     from; the mount point of the ESP is emptied, since the ESP hides it (see
//     Apply); contents of /dev, /proc, /run, /sys, /tmp and /var/tmp go.
//   - A source with systemd or another init: caches, logs, host keys and
//     identities of the machine that it was made on go; fstab, names, locale
//     and users come.
//   - A source with systemd: units are enabled, disabled and masked by the
//     symlinks that systemctl would make, see units.go; log-in on the console,
//     zram, the lid of a laptop that hibernates, SSH host keys at the first boot;
//     and the secrets, the restore and the backups of the profile, see
//     recovery.go.
//   - A NixOS source, which has /nix/store and no systemd below /usr, makes its
//     own /etc when it is activated: of it only the first point is done, see
//     Ignored, and the restore and the backups come, see recovery.go; its
//     secrets it decrypts itself.
package adjust

import (
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Inputs is what the plan only names.
type Inputs struct {
	// Passwords holds a crypt(5) hash for each user whose profile names a
	// password file.
	Passwords map[string]string
	// Recovery is what a profile with secrets, a restore or backups needs.
	Recovery *Recovery
}

// Apply changes a source's tree into that of the plan's system.
//
// Kernels and their initrds are dropped from the mount point of the ESP, which
// is /boot in most layouts: call source.Kernels before, and keep the entries
// that it returns, whose contents stay readable.
//
// Errors are of class fault.Config when the profile asks for what the source
// does not have, all of it at once, and of fault.Input when the source is
// damaged. After an error the tree must not be used.
func Apply(t *fstree.Tree, p *plan.Plan, in Inputs) error {
	e := &editor{tree: t, plan: p, in: in, Findings: strict.NewFindings(nil)}
	e.shape = shapeOf(t)
	steps := []func() error{e.emptyVolatile, e.emptyESP}
	if e.shape == nixos {
		steps = append(steps, e.recovery)
	} else {
		steps = append(steps, e.forgetMachine, e.emptyCaches, e.hostname, e.timezone, e.locale, e.keyboard, e.resolver, e.users)
		if e.shape == systemd {
			steps = append(steps, e.units, e.consoles, e.zram, e.lid, e.hostKeys, e.keepMachineID, e.recovery, e.updated)
		} else {
			e.needSystemd()
		}
		steps = append(steps, e.fstab)
	}
	steps = append(steps, e.mountPoints, e.persist)
	for _, step := range steps {
		if err := step(); err != nil {
			return fault.New(fault.Input, fault.HintOf(err), "source: %w", err)
		}
	}
	if err := e.Err(); err != nil {
		return err
	}
	t.Freeze()
	return nil
}

// shape is what kind of system a source holds.
type shape int

const (
	other   shape = iota // anything that keeps /etc, such as a system with another init
	systemd              // systemd below /usr
	nixos                // a store; /etc is made at activation
)

// systemdPath is where every distribution but NixOS has its manager.
const systemdPath = "usr/lib/systemd/systemd"

func shapeOf(t *fstree.Tree) shape {
	switch {
	case t.Lookup(systemdPath) != nil:
		return systemd
	case t.Lookup("nix/store") != nil:
		return nixos
	}
	return other
}

// needSystemd notes what a profile asks for that only systemd does.
func (e *editor) needSystemd() {
	p := &e.plan.Profile
	for _, wish := range []struct {
		key   string
		asked bool
	}{
		{"users", autologinUser(p) != ""},
		{"units.enable", len(p.Units.Enable) > 0},
		{"units.disable", len(p.Units.Disable) > 0},
		{"units.mask", len(p.Units.Mask) > 0},
		{"first_boot.steps", e.hasSSHServer() && wantsHostKeys(p)},
		{"zram.enable", p.Zram.Enable},
		{"secrets", len(p.Secrets) > 0},
		{"restore", wantsRestore(p)},
		{"backup", len(p.Backup) > 0},
	} {
		if wish.asked {
			e.Add(wish.key, "the source has no systemd (%s)", systemdPath)
		}
	}
}

// Ignored returns the keys and tables of a profile, in its order, that have no
// effect on a source: NixOS makes its names, users and units from its own
// configuration. It is nil for every other source. Ask before Apply.
func Ignored(t *fstree.Tree, p *profiles.Profile) []string {
	if shapeOf(t) != nixos {
		return nil
	}
	keys := []string{"hostname", "locale"}
	if len(p.Users) > 0 {
		keys = append(keys, "users")
	}
	keys = append(keys, "units") // its target is required
	if slices.ContainsFunc(p.FirstBoot.Steps, isOfSystem) {
		keys = append(keys, "first_boot")
	}
	if p.Zram.Enable {
		keys = append(keys, "zram")
	}
	return keys
}

// isOfSystem reports whether a step of the first boot is done by the system,
// not by the initramfs.
func isOfSystem(step string) bool { return step != config.StepGrow && step != config.StepSwapfile }
