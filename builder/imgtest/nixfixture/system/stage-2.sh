#!@busybox@/bin/sh
# Stage 2: what NixOS does between its initrd and systemd.
systemConfig=@out@
export HOME=/root PATH=@busybox@/bin

if [ "${IN_NIXOS_SYSTEMD_STAGE1:-}" != true ]; then
	echo
	echo "<<< NixOS Stage 2 (fixture) >>>"
	echo
	mount -o remount,rw /
fi

if [ ! -e /proc/1 ]; then
	mkdir -p /proc /dev /sys
	mount -t proc -o nosuid,noexec,nodev proc /proc
	mount -t devtmpfs -o mode=755,nosuid devtmpfs /dev
	mount -t sysfs -o nosuid,noexec,nodev sysfs /sys
	if [ "${IN_NIXOS_SYSTEMD_STAGE1:-}" != true ]; then
		mkdir -p /run
		mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
	fi
fi

echo "booting system configuration $systemConfig"
chown 0:30000 /nix/store
chmod 1775 /nix/store
if ! grep -q ' /nix/store .*[ ,]ro[, ]' /proc/mounts; then
	mount --bind /nix/store /nix/store
	mount -o remount,ro,nosuid,nodev,bind /nix/store
fi
mkdir -p /etc /tmp
chmod 1777 /tmp

echo "running activation script..."
$systemConfig/activate
ln -sfn "$systemConfig" /run/booted-system
: >>/etc/machine-id

if [ "${IN_NIXOS_SYSTEMD_STAGE1:-}" != true ]; then
	echo "starting systemd..."
	exec /run/current-system/systemd/lib/systemd/systemd "$@"
fi
