package boot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// The units that keep hibernation possible in the running system. Until its
// swap space is in use there is nothing to watch; and as what stops first at
// the end, the watch sees no swap space go. The check is there as long as one of
// the services that need it, so that its end is the end of the sleep. %[1]s is the
// command, %[2]s the swapfile.
const (
	watchUnit = `[Unit]
Description=Tell the kernel where the swapfile for hibernation is
DefaultDependencies=no
After=swap.target
Conflicts=shutdown.target
Before=shutdown.target

[Service]
ExecStart=%[1]s watch %[2]s
Restart=on-failure
CapabilityBoundingSet=CAP_SYS_ADMIN
NoNewPrivileges=yes
`
	checkUnit = `[Unit]
Description=Check that this machine can hibernate
DefaultDependencies=no
Before=systemd-hibernate.service systemd-hybrid-sleep.service systemd-suspend-then-hibernate.service
StopWhenUnneeded=yes

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%[1]s prepare %[2]s
ExecStop=%[1]s woken %[2]s
CapabilityBoundingSet=CAP_SYS_ADMIN
NoNewPrivileges=yes
`
)

// unitsLeft are the units and which others pull them in. To suspend first must
// not fail because hibernating later would: systemd tries, and suspends again.
var unitsLeft = []struct {
	name, text string
	links      []string
}{
	{"mkimage-swap-watch.service", watchUnit, []string{"swap.target.wants"}},
	{"mkimage-hibernate-check.service", checkUnit, []string{
		"systemd-hibernate.service.requires", "systemd-hybrid-sleep.service.requires", "systemd-suspend-then-hibernate.service.wants",
	}},
}

// leaveUnits leaves the program and the units in /run, which the system gets
// from us.
func (m *machine) leaveUnits() {
	if !m.config.Hibernates() || !runsSystemd(newRoot, m.cmd.Init) {
		return
	}
	if err := leaveUnits("/run", config.HibernateProgram, m.config.Swapfile.Target); err != nil {
		m.log.printf(levelWarning, "hibernation: a swapfile that is made anew will not be noticed: %v", err)
	}
}

// ownUnits is the step that puts units where the manager finds them that come
// with a system whose /etc is not ours to write, such as a NixOS.
func (m *machine) ownUnits() error {
	from, err := Resolve(newRoot, firstboot.UnitsDir)
	if err != nil || m.cmd.Factory {
		return nil
	}
	from = filepath.Join(newRoot, from)
	if _, err := os.Lstat(from); err != nil || !runsSystemd(newRoot, m.cmd.Init) {
		return nil
	}
	if err := copyUnits(from, "/run/systemd/system"); err != nil {
		m.log.printf(levelWarning, "the system starts without some units of %s: %v", firstboot.UnitsDir, err)
	}
	return nil
}

// copyUnits copies files and symlinks, and leaves what is there already.
func copyUnits(from, to string) error {
	return filepath.WalkDir(from, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(name, from))
		switch e.Type() {
		case fs.ModeDir:
			return os.MkdirAll(at, 0o755)
		case fs.ModeSymlink:
			var target string
			if target, err = os.Readlink(name); err == nil {
				err = os.Symlink(target, at)
			}
		case 0:
			var text []byte
			if text, err = os.ReadFile(name); err == nil {
				err = writeNew(at, text)
			}
		}
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	})
}

// writeNew writes a file that may not be there yet.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// systemdOfNixOS is where the toplevel of a NixOS has systemd, from the folder of its init.
const systemdOfNixOS = "systemd/lib/systemd/systemd"

// runsSystemd reports whether the system in root, of which init is asked for, has
// systemd. In any other one the folder of units must not be made: programs take it for a
// sign that systemd runs (sd_booted(3)).
func runsSystemd(root, init string) bool {
	names := []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"}
	if path.IsAbs(init) {
		names = append(names, path.Join(path.Dir(init), systemdOfNixOS))
	}
	for _, name := range names {
		real, err := Resolve(root, name)
		if err != nil {
			continue
		}
		if _, err := os.Lstat(filepath.Join(root, real)); err == nil {
			return true
		}
	}
	return false
}

// leaveUnits puts the program into run, and units that run it for the swapfile.
func leaveUnits(run, program, swapfile string) error {
	dir := filepath.Join(run, "mkimage")
	if err := executableDir(run, dir); err != nil {
		return err
	}
	command := filepath.Join(dir, filepath.Base(program))
	if err := copyFile(program, command); err != nil {
		return err
	}
	units := filepath.Join(run, "systemd/system")
	for _, u := range unitsLeft {
		if err := leaveUnit(units, u.name, fmt.Sprintf(u.text, command, unitWord(swapfile)), u.links); err != nil {
			return err
		}
	}
	return nil
}

func leaveUnit(units, name, text string, links []string) error {
	for _, link := range append([]string{""}, links...) {
		if err := os.MkdirAll(filepath.Join(units, link), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(units, name), []byte(text), 0o644); err != nil {
		return err
	}
	for _, link := range links {
		if err := os.Symlink("../"+name, filepath.Join(units, link, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// executableDir makes a directory in run from which programs can be started.
func executableDir(run, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if st.Flags&unix.ST_NOEXEC == 0 {
		return nil
	}
	if err := unix.Mount("mkimage", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=16m,mode=755"); err != nil {
		return fmt.Errorf("mount %s, as %s takes no programs: %w", dir, run, err)
	}
	return nil
}

// copyFile copies a program.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// unitWord quotes an argument of a command in a unit: see "Command lines" in
// systemd.service(5).
func unitWord(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$").Replace(text) + `"`
}
