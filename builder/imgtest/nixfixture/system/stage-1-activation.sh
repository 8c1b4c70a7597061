#!/bin/sh
# Activates the system that init= names, if it wants to be activated from here.

# said prints what the toplevel tells nixos-init.
said() { sed -n "s|^    \"$1\": \"\(.*\)\",*\$|\1|p" "/sysroot$closure/boot.json" | sed 1q; }

# without_script does the part of nixos-init. This kernel knows no layers of data alone.
without_script() {
	set -e
	for module in erofs loop overlay; do
		modprobe "$module"
	done
	mkdir -p /run/nixos-etc-metadata /sysroot/.rw-etc/upper /sysroot/.rw-etc/work /sysroot/etc
	mount -t erofs -o loop,ro,nodev,nosuid "/sysroot$(said etc_metadata_image)" /run/nixos-etc-metadata
	mount -t overlay -o nodev,nosuid,relatime,redirect_dir=on,metacopy=on,lowerdir=/run/nixos-etc-metadata:/sysroot$(said etc_basedir),upperdir=/sysroot/.rw-etc/upper,workdir=/sysroot/.rw-etc/work overlay /sysroot/etc
	mount -o bind /sysroot/nix/store /sysroot/nix/store
	mount -o remount,bind,ro,nodev,nosuid /sysroot/nix/store
	ln -sfn "$closure" /run/booted-system
	ln -sfn "$closure" /run/current-system
	mkdir -p /sysroot/bin /sysroot/usr/bin
	ln -sf "$(said sh_binary)" /sysroot/bin/sh
	ln -sf "$(said env_binary)" /sysroot/usr/bin/env
}

closure=
for word in $(cat /proc/cmdline); do
	case $word in init=*) closure=${word#init=} ;; esac
done
if [ -z "$closure" ]; then
	echo "no init= on the kernel command line"
	exit 1
fi
closure=$(dirname "$(chroot /sysroot @busybox@/bin/realpath "$closure")")
if [ ! -x "/sysroot$closure/prepare-root" ]; then
	echo "NEW_INIT=$closure/init" >/etc/switch-root.conf
	without_script
	exit
fi
echo NEW_INIT= >/etc/switch-root.conf
# With the mounts in it, as systemd keeps this one when it goes to the new root: it has its
# credentials there.
mkdir -p /sysroot/run
mount --rbind /run /sysroot/run
export IN_NIXOS_SYSTEMD_STAGE1=true
exec chroot /sysroot "$closure/prepare-root"
