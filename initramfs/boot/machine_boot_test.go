package boot

import (
	"testing"
)

// running waits for the end of the boot. A unit that failed makes it
// "degraded"; which one is in the log.
func (l *lab) running(t *testing.T, cmdline, initrd string) (sh func(script string) []string, done func()) {
	t.Helper()
	ctx, vm := l.start(t, initrd, cmdline, true)
	expect(t, ctx, vm, `mkimage-init: \+[0-9.]+s root found PARTUUID=\S+ /dev/vda2 waited [0-9.]+s\r?\n`)
	expect(t, ctx, vm, `mkimage-init: \+[0-9.]+s switching to /sbin/init on /dev/vda2\r?\n`)
	expect(t, ctx, vm, `laptop login: `)
	sh = func(script string) []string { t.Helper(); return shell(t, ctx, vm, script) }
	wantWords(t, "state", sh("systemctl is-system-running --wait || true; systemctl --failed --plain --no-legend"), "running")
	wantWords(t, "leftovers", sh("ls -A /run/mkimage 2>/dev/null; awk '$1 == \"rootfs\"' /proc/mounts"))
	return sh, func() {
		if err := vm.PowerDown(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestMachineBoots(t *testing.T) {
	l := getLab(t)
	sh, done := l.running(t, laptopCmdline, l.initrd(t, laptop, false))
	wantWords(t, "mounts", sh("findmnt -rno TARGET,FSROOT -t btrfs | sort"), "/", "/@", "/home", "/@home", "/nix", "/@nix", "/var", "/@var")
	wantWords(t, "mode of / and /run", sh("stat -c %a / /run; for m in /run /dev /proc /sys; do findmnt -no FSTYPE $m; done"), "755", "755", "tmpfs", "devtmpfs", "proc", "sysfs")
	sh("dmesg | grep -E 'Run /init|mkimage-init|Btrfs loaded|systemd 2'")
	done()
}

// The factory system is whole, writable in memory, and leaves the disk alone.
func TestMachineFactory(t *testing.T) {
	l := getLab(t)
	sh, done := l.running(t, laptopCmdline+"mkimage.factory", l.initrd(t, laptop, false))
	wantWords(t, "mounts", sh("findmnt -rno TARGET -t overlay | sort; findmnt -rno TARGET -t btrfs || true"), "/", "/var")
	wantWords(t, "written", sh("touch /x /var/x && mkdir -p /m && mount -o ro PARTUUID="+testPartUUID+" /m && ls -d /m/@factory /m/@/x /m/@factory/x /m/@var/x /m/@factory-var/x 2>/dev/null; umount /m"), "/m/@factory")
	wantWords(t, "modes", sh("stat -c %a / /var"), "755", "755")
	done()
}

func TestMachineImpermanence(t *testing.T) {
	l := getLab(t)
	// The disk is the laptop's. The layout's own fstab does not name /, and its
	// units leave a bound machine-id alone.
	const own = "systemd.mask=systemd-remount-fs.service systemd.mask=systemd-machine-id-commit.service"
	sh, done := l.running(t, laptopCmdline+own, l.initrd(t, impermanence, false))
	wantWords(t, "mounts", sh("findmnt -no FSTYPE /; findmnt -no FSROOT /persist; findmnt -no OPTIONS /persist | grep -o ^rw"), "overlay", "/@persist", "rw")
	wantWords(t, "bound", sh("touch /etc/nixos/x && ls /persist/etc/nixos; cmp /etc/machine-id /persist/etc/machine-id && wc -c < /etc/machine-id"), "x", "33")
	wantWords(t, "lower", sh("touch /x && mkdir -p /m && mount -o ro,subvol=@ PARTUUID="+testPartUUID+" /m && ls -d /m/etc /m/x /m/etc/nixos 2>/dev/null; umount /m"), "/m/etc")
	done()
}

// mkimage.shell gives a shell first. A boot without its root says what it saw, gives a shell, and tries again.
func TestMachineMissingRoot(t *testing.T) {
	l := getLab(t)
	ctx, vm := l.start(t, l.initrd(t, laptop, true), "root=PARTUUID=0 mkimage.timeout=3 mkimage.shell console=ttyS0 quiet", false)
	exit := func() {
		t.Helper()
		expect(t, ctx, vm, `\$ `)
		if err := vm.Console.Send("exit\n"); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, ctx, vm, `a shell, as mkimage.shell asks. Nothing of the disk is mounted yet`)
	exit()
	expect(t, ctx, vm, `the shell ended, the boot goes on\r?\n`)
	expect(t, ctx, vm, `the boot stopped at: root device\r?\n\s+PARTUUID=0: no such device within 3s\r?\n`)
	expect(t, ctx, vm, `/dev/vda2 .*PARTUUID=`+testPartUUID+` LABEL=laptop UUID=\S+ btrfs\r?\n`)
	expect(t, ctx, vm, `exit +try this step again`)
	exit()
	expect(t, ctx, vm, `the shell ended, trying again: root device`)
	expect(t, ctx, vm, `the boot stopped at: root device`)
}
