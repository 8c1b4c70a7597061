# busybox, by all its names.
mkdir -p "$out/bin" t
tar -xf "$userlandTar" -C t ./usr/bin/busybox
install -m 755 t/usr/bin/busybox "$out/bin/busybox"
for applet in $("$out/bin/busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$out/bin/$applet"
done
