# Builds the parts of another system out of those of the system $top.

# An archive behind the initrd of the other has the label in it. The kernel wants it at a
# multiple of four.
initrd() {
	mkdir "$out"
	cat "$top/initrd" >"$out/initrd"
	size=$(stat -c %s "$out/initrd")
	head -c $(((4 - size % 4) % 4)) /dev/zero >>"$out/initrd"
	mkdir archive
	cd archive
	echo "$label" >fixture-label
	touch -d @1 fixture-label
	echo fixture-label | cpio -o -H newc >>"$out/initrd"
}

# Texts name the toplevel itself. An init may be a program, which names nothing.
toplevel() {
	cp -R -P "$top" "$out"
	chmod -R u+w "$out"
	for file in init prepare-root activate dry-activate fixture-report bin/switch-to-configuration boot.json; do
		[ -e "$out/$file" ] && head -c 2 "$out/$file" | grep -qE '#!|[{]' || continue
		sed -i "s|$top|$out|g" "$out/$file"
	done
	sed -i -e "s|^    \"initrd\": .*|    \"initrd\": \"$initrd/initrd\",|" \
		-e "/^    \"label\"/s|$(cat "$top/nixos-version")|$label|" "$out/boot.json"
	printf '%s' "$label" >"$out/nixos-version"
	ln -sfn "$initrd/initrd" "$out/initrd"
}

"$part"
