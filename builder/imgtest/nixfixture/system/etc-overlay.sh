# An /etc for system.etc.overlay: the metadata, and the files that are copied.
mkdir "$out"
"$etcImage/bin/etcimage" "$etc/etc" "$out/metadata.erofs" "$out/basedir" passwd:644 group:644 shadow:600
