# Shapes that whoever reads archives of Nix, and writes images, must get right.
mkdir -p "$out/empty-dir" "$out/deep/a/b/c/d/e/f/g"
: >"$out/empty-file"
printf x >"$out/one-byte"
printf '#!/bin/sh\n' >"$out/executable"
chmod 755 "$out/executable"
ln -s one-byte "$out/link-relative"
ln -s /does/not/exist "$out/link-dangling"
ln -s "$out/one-byte" "$out/link-self"
ln "$out/one-byte" "$out/hardlink"
# Around the longest file that btrfs keeps in its metadata.
for size in 2047 2048 2049 1048576; do
	head -c $size /dev/zero >"$out/zeros-$size"
done
i=0
while [ $i -lt 300 ]; do
	: >"$out/deep/f$i"
	i=$((i + 1))
done
printf u >"$out/name with space"
printf u >"$out/ünïcödé"
printf u >"$out/UPPER"
printf l >"$out/upper"
ln -s "$(printf 'a%.0s' $(seq 1 1000))" "$out/link-long"
printf n >"$out/$(printf 'n%.0s' $(seq 1 255))"
