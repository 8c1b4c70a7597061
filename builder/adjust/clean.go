package adjust

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// volatile are directories that file systems in memory hide at boot, or whose
// content belongs to the run of a system and not to the system.
var volatile = []string{"/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp"}

func (e *editor) emptyVolatile() error {
	for _, dir := range volatile {
		e.empty(dir)
	}
	return nil
}

// emptyESP empties the mount point of the ESP and takes away the symlinks in /
// that led to kernels there.
func (e *editor) emptyESP() error {
	e.empty(e.plan.Layout.ESP.Mount)
	for _, name := range []string{"vmlinuz", "vmlinuz.old", "initrd.img", "initrd.img.old"} {
		if c := e.tree.Lookup(name); c != nil && c.IsSymlink() && e.find("/"+name) == nil {
			e.remove("/" + name)
		}
	}
	return nil
}

// secrets identify the machine that the source was made on, or are worthless
// once more than one machine has them.
var secrets = []string{
	"/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret",
	"/var/lib/urandom/random-seed", "/var/lib/NetworkManager/secret_key",
}

const machineID = "/etc/machine-id"

// forgetMachine takes away the identity of the machine that the source was
// made on: machine id, SSH host keys, seeds.
//
// /etc/machine-id stays as an empty file: systemd fills it at boot, and the
// boot is not taken for a "first boot" in which presets would change units.
func (e *editor) forgetMachine() error {
	if c := e.lookup(machineID); c != nil && c.IsSymlink() {
		e.remove(machineID)
	}
	if err := e.write(machineID, "", 0o644); err != nil {
		return err
	}
	if e.lookup("/var/lib/dbus/machine-id") != nil {
		if err := e.symlink("/var/lib/dbus/machine-id", machineID); err != nil {
			return err
		}
	}
	for _, p := range secrets {
		e.remove(p)
	}
	if dir := e.find("/etc/ssh"); dir != nil {
		for _, c := range children(dir) {
			if isHostKey(c.Name) {
				dir.Remove(c)
			}
		}
	}
	return nil
}

// isHostKey reports the names that ssh-keygen -A gives, and those of
// certificates beside them.
func isHostKey(name string) bool {
	rest, ok := strings.CutPrefix(name, "ssh_host_")
	return ok && strings.Contains(rest, "_key")
}

// emptyCaches takes away what packages were fetched and configured with, and
// what was logged meanwhile. Directories stay, with their owners: apt wants
// its "partial" ones.
func (e *editor) emptyCaches() error {
	for _, dir := range []string{"/var/cache/apt", "/var/lib/apt/lists", "/var/cache/ldconfig", "/var/cache/dnf", "/var/cache/pacman/pkg"} {
		e.dropFiles(e.find(dir))
	}
	logs := e.find("/var/log")
	if logs == nil {
		return nil
	}
	e.empty("/var/log/journal")
	for _, entry := range files(logs) {
		if entry.Name == "README" {
			continue
		}
		if err := e.rewrite("/"+entry.Path(), "", 0o644); err != nil {
			return err
		}
	}
	return nil
}

// dropFiles removes everything but directories below a directory.
func (e *editor) dropFiles(dir *fstree.Entry) {
	if dir == nil {
		return
	}
	for _, c := range children(dir) {
		if c.IsDir() {
			e.dropFiles(c)
		} else {
			dir.Remove(c)
		}
	}
}

// files returns the regular files below a directory.
func files(dir *fstree.Entry) []*fstree.Entry {
	var list []*fstree.Entry
	for entry := range dir.All() {
		if entry.IsRegular() {
			list = append(list, entry)
		}
	}
	return list
}
