# The initrd of one of the kinds of stage 1. What it mounts is what the fstab marks.
. "$scripts/modules.sh"
mkdir -p root/etc root/dev root/proc root/sys root/run
case $stage1 in
scripted) . "$scripts/initrd-scripted.sh" ;;
systemd | nixos-init) . "$scripts/initrd-systemd.sh" ;;
esac
mkdir "$out"
find root -exec touch -h -d @1 {} +
(cd root && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) | zstd -q -9 -T1 >"$out/initrd"
