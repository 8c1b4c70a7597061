#!/bin/sh
# Stage 1 as a script: mounts what is needed for the boot and starts stage 2.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=755 tmpfs /run
echo
echo "<<< NixOS Stage 1 (fixture) >>>"
echo

fail() {
	echo "stage 1 failed: $*"
	exec sh </dev/console
}

stage2=
for word in $(cat /proc/cmdline); do
	case $word in init=*) stage2=${word#init=} ;; esac
done
[ -n "$stage2" ] || fail "no init= on the kernel command line"
for module in @modules@; do
	modprobe -q "$module"
done

# device waits for a file system by its label.
device() {
	tries=30
	while ! findfs "LABEL=${1##*/}" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 1
	done
}

while read -r what where type options; do
	found=$(device "$what") || fail "no $what"
	echo "mounting $found on $where..."
	mkdir -p "/mnt-root$where"
	mount -t "$type" -o "$options" "$found" "/mnt-root$where" || fail "mount of $where"
done </etc/mounts

[ -e "/mnt-root$stage2" ] || [ -L "/mnt-root$stage2" ] || fail "stage 2 init script ($stage2) not found"
for dir in proc sys dev run; do
	mkdir -p "/mnt-root/$dir"
	mount --move "/$dir" "/mnt-root/$dir"
done
exec env -i /bin/busybox switch_root /mnt-root "$stage2"
