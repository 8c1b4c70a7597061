#!/bin/sh
# Activates the system that init= names, if it wants to be activated from here.
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
	echo "$closure: has no prepare-root, so it is not activated"
	exit 0
fi
echo NEW_INIT= >/etc/switch-root.conf
# With the mounts in it, as systemd keeps this one when it goes to the new root: it has its
# credentials there.
mkdir -p /sysroot/run
mount --rbind /run /sysroot/run
export IN_NIXOS_SYSTEMD_STAGE1=true
exec chroot /sysroot "$closure/prepare-root"
