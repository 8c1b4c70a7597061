# Programs and libraries of Debian, without what nothing here uses.
mkdir "$out"
tar -xf "$userlandTar" -C "$out" \
	--exclude='./usr/lib/modules' --exclude='./usr/lib/udev/hwdb.d' --exclude='./usr/share/initramfs-tools' \
	--exclude='./usr/bin/perl*' --exclude='./usr/share/perl*' --exclude='./usr/lib/*/perl*' --exclude='./usr/lib/*/gconv' \
	--exclude='./usr/share/bash-completion' --exclude='./usr/share/zsh' --exclude='./usr/share/common-licenses' \
	--exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/zoneinfo' \
	--exclude='./usr/share/i18n' --exclude='./usr/share/bug' --exclude='./usr/share/lintian' --exclude='./usr/share/mime' \
	./usr
mkdir "$out/etc"
tar -xf "$userlandTar" -C "$out/etc" --strip-components=2 ./etc
# What a run of mmdebstrap leaves of the host and the day.
rm -rf "$out"/etc/resolv.conf "$out"/etc/hostname "$out"/etc/machine-id "$out"/etc/apt "$out"/etc/*-
find "$out/usr" "$out/etc" -name __pycache__ -prune -exec rm -r {} +
for dir in bin sbin lib lib64; do
	ln -s "usr/$dir" "$out/$dir"
done
ln -s /run/booted-system/kernel-modules/lib/modules "$out/usr/lib/modules"
# As programs of NixOS are: they find what they need without a /lib64.
patchelf --set-interpreter "$out/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --set-rpath "$out/usr/lib/x86_64-linux-gnu" "$out/usr/bin/btrfs"
# A reference to itself, as real packages have.
echo "prefix=$out" >"$out/usr/share/fixture-prefix"
