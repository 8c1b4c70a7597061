# A stage 1 that is a script.
mkdir -p root/bin root/lib root/mnt-root
take_modules "$kernel" root $root_modules $disk_modules overlay
cp "$busybox/bin/busybox" root/bin/
ln -s busybox root/bin/sh
ln -s bin root/sbin # where the kernel looks for modprobe
sed "s|@modules@|$(echo $root_modules $disk_modules)|" "$scripts/stage-1.sh" >root/init
chmod 755 root/init
awk '$4 ~ /x-initrd.mount/ { sub("x-initrd.mount,", "", $4); print $1, $2, $3, $4 }' "$fstab" >root/etc/mounts
