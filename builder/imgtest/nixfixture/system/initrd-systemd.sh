# A stage 1 that is systemd, as boot.initrd.systemd.enable makes it.
units="basic.target emergency.target emergency.service initrd-cleanup.service initrd-fs.target initrd-parse-etc.service
	initrd-root-device.target initrd-root-fs.target initrd-switch-root.service initrd-switch-root.target
	initrd-udevadm-cleanup-db.service initrd-usr-fs.target initrd.target kmod-static-nodes.service local-fs-pre.target
	local-fs.target modprobe@.service paths.target shutdown.target slices.target sockets.target swap.target sysinit.target
	systemd-journald-dev-log.socket systemd-journald.service systemd-journald.socket systemd-modules-load.service
	systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd.service
	timers.target umount.target final.target"
rules="50-udev-default 60-block 60-persistent-storage 64-btrfs 80-drivers 99-systemd"

# tree makes the places, with their usual links.
tree() {
	mkdir -p root/usr/bin root/usr/sbin root/usr/lib64 root/usr/lib/udev/rules.d root/usr/lib/x86_64-linux-gnu/systemd \
		root/usr/lib/systemd/system/sysinit.target.wants root/usr/lib/systemd/system/sockets.target.wants \
		root/usr/lib/systemd/system-generators root/etc/systemd/system root/etc/modules-load.d root/sysroot root/tmp root/var
	for dir in bin sbin lib lib64; do
		ln -s usr/$dir root/$dir
	done
	ln -s /run root/var/run
	take_modules "$kernel" root/usr $root_modules $disk_modules $credential_modules overlay autofs4 erofs loop
	printf '%s\n' $root_modules >root/etc/modules-load.d/nixos.conf # udev loads what there are devices for
	cp "$scripts/system.conf" root/etc/systemd/
}

programs() {
	cp "$busybox/bin/busybox" root/usr/bin/
	for applet in sh cat mkdir chroot ln echo dirname ls sed grep; do
		ln -s busybox root/usr/bin/$applet
	done
	for name in systemd systemd-journald systemd-modules-load systemd-shutdown systemd-fsck systemd-sulogin-shell; do
		cp -P "$userland/usr/lib/systemd/$name" root/usr/lib/systemd/
	done
	ln -s /usr/bin/udevadm root/usr/lib/systemd/systemd-udevd
	cp "$userland/usr/lib/systemd/system-generators/systemd-fstab-generator" root/usr/lib/systemd/system-generators/
	for name in systemctl journalctl udevadm kmod mount umount; do
		cp "$userland/usr/bin/$name" root/usr/bin/
	done
	for name in modprobe insmod; do
		ln -s ../bin/kmod root/usr/sbin/$name
	done
	ln -s ../lib/systemd/systemd root/usr/sbin/init
	ln -s usr/lib/systemd/systemd root/init
}

# libraries copies what the programs want of each other, by what their headers say, and what
# systemd opens while it runs.
libraries() {
	from=$userland/usr/lib/x86_64-linux-gnu to=root/usr/lib/x86_64-linux-gnu
	cp -L "$userland/usr/lib64/ld-linux-x86-64.so.2" root/usr/lib64/
	cp -L "$from/libkmod.so.2" "$from/libblkid.so.1" "$from/libmount.so.1" $to/
	files=$(find root -type f -perm -100 ; find $to -type f)
	while [ -n "$files" ]; do
		more=
		for name in $(readelf -d $files 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u); do
			for dir in . systemd; do
				if [ -e "$from/$dir/$name" ] && [ ! -e "$to/$dir/$name" ]; then
					cp -L "$from/$dir/$name" "$to/$dir/$name"
					more="$more $to/$dir/$name"
				fi
			done
		done
		files=$more
	done
}

configuration() {
	for unit in $units; do
		cp -P "$userland/usr/lib/systemd/system/$unit" root/usr/lib/systemd/system/
	done
	for unit in systemd-udevd-control systemd-udevd-kernel systemd-journald systemd-journald-dev-log; do
		ln -s ../$unit.socket root/usr/lib/systemd/system/sockets.target.wants/
	done
	for unit in systemd-journald systemd-udevd systemd-udev-trigger kmod-static-nodes systemd-modules-load; do
		ln -s ../$unit.service root/usr/lib/systemd/system/sysinit.target.wants/
	done
	ln -s initrd.target root/usr/lib/systemd/system/default.target
	for rule in $rules; do
		cp "$userland/usr/lib/udev/rules.d/$rule.rules" root/usr/lib/udev/rules.d/
	done
	cp "$userland/usr/lib/udev/ata_id" "$userland/usr/lib/udev/scsi_id" root/usr/lib/udev/
	printf 'NAME=NixOS\nID=nixos\n' >root/etc/os-release
	cp root/etc/os-release root/etc/initrd-release
	: >root/etc/machine-id
	echo 'root:x:0:0::/:/bin/sh' >root/etc/passwd
	echo 'root:*:::::::' >root/etc/shadow
	printf 'root:x:0:\ntty:x:5:\ndisk:x:6:\nkmem:x:15:\n' >root/etc/group
}

# mounts tells systemd what is needed for the boot, and that initrd-fs.target is when it is there.
mounts() {
	mkdir -p root/etc/systemd/system/initrd-fs.target.requires
	awk '$4 ~ /x-initrd.mount/ { sub("/$", "", $2); print $1, "/sysroot" $2, $3, $4, "0 0" }' "$fstab" >root/etc/fstab
	for where in $(awk '$2 != "/sysroot" { print $2 }' root/etc/fstab); do
		name=$(echo "${where#/}" | tr / -).mount
		ln -s "/run/systemd/generator/$name" root/etc/systemd/system/initrd-fs.target.requires/
	done
}

# activation starts stage 2 in the new root before systemd goes there.
activation() {
	sed "s|@busybox@|$busybox|" "$scripts/stage-1-activation.sh" >root/usr/bin/nixos-activation
	chmod 755 root/usr/bin/nixos-activation
	cp "$scripts/initrd-nixos-activation.service" root/etc/systemd/system/
	mkdir -p root/etc/systemd/system/initrd.target.requires
	ln -s ../initrd-nixos-activation.service root/etc/systemd/system/initrd.target.requires/
	dropin initrd-switch-root.service '[Service]
EnvironmentFile=-/etc/switch-root.conf
ExecStart=
ExecStart=systemctl --no-block switch-root /sysroot "${NEW_INIT}"'
}

dropin() {
	mkdir -p "root/etc/systemd/system/$1.d"
	echo "$2" >"root/etc/systemd/system/$1.d/fixture.conf"
}

tree
programs
libraries
configuration
mounts
activation
# While btrfs is not loaded, udev takes its devices for unready, for good.
dropin systemd-udev-trigger.service '[Unit]
After=systemd-modules-load.service'
# Nobody is at the console: say what is wrong, and end.
dropin emergency.service '[Service]
ExecStartPre=
ExecStart=
ExecStart=/bin/sh -c "echo stage 1 failed; systemctl --failed --no-pager; journalctl -b --no-pager -p warning; systemctl --no-block --force --force poweroff"
StandardOutput=tty
TTYPath=/dev/console'
