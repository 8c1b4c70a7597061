# The toplevel: what a generation is.
. "$scripts/subst.sh"
mkdir -p "$out/bin" "$out/specialisation"
case $stage1 in
scripted) subst "$scripts/stage-2.sh" "$out/init" ;;
systemd)
	cp "$systemd/lib/systemd/systemd" "$out/init" # NixOS has the program itself there, no link
	subst "$scripts/stage-2.sh" "$out/prepare-root"
	;;
nixos-init) install -m 555 "$nixosInit" "$out/init" ;;
esac
if [ "$stage1" != nixos-init ]; then
	subst "$scripts/activate.sh" "$out/activate"
	subst "$scripts/activate.sh" "$out/dry-activate"
fi
subst "$scripts/secrets.sh" "$out/fixture-secrets"
subst "$scripts/report.sh" "$out/fixture-report"
subst "$scripts/switch-to-configuration.sh" "$out/bin/switch-to-configuration"

ln -s "$etc/etc" "$out/etc"
ln -s "$systemPath" "$out/sw"
ln -s "$systemd" "$out/systemd"
ln -s "$kernel/bzImage" "$out/kernel"
ln -s "$modules" "$out/kernel-modules"
ln -s "$initrd/initrd" "$out/initrd"
ln -s "$firmware/lib/firmware" "$out/firmware"
printf '%s' "$params" >"$out/kernel-params"
printf '%s' "$label" >"$out/nixos-version"
printf '%s' "$hostSystem" >"$out/system"
printf '%s' "$stage1" >"$out/fixture-stage1"
printf 'systemd 252' >"$out/init-interface-version"
printf '%s' "$edge" >"$out/extra-dependencies"

# list writes words as an array of JSON.
list() {
	separator=
	printf '['
	for word in "$@"; do
		printf '%s"%s"' "$separator" "$word"
		separator=', '
	done
	printf ']'
}

# activation writes what nixos-init is told, of every system.
activation() {
	printf '  "org.nixos.nixos-init.v1": {\n    "env_binary": "%s",\n' "$busybox/bin/env"
	[ -z "$etcOverlay" ] ||
		printf '    "etc_basedir": "%s",\n    "etc_metadata_image": "%s",\n' "$etcOverlay/basedir" "$etcOverlay/metadata.erofs"
	printf '    "firmware": "%s",\n    "modprobe_binary": "%s",\n' "$firmware/lib/firmware" "$userland/usr/sbin/modprobe"
	printf '    "nix_store_mount_opts": %s,\n    "sh_binary": "%s"\n  },\n' "$(list ro nodev nosuid)" "$busybox/bin/sh"
}

# children links the specialisations and writes their documents.
children() {
	separator=
	printf '  "org.nixos.specialisation.v1": {'
	set -- $childPaths
	for name in $childNames; do
		ln -s "$1" "$out/specialisation/$name"
		printf '%s\n    "%s": ' "$separator" "$name"
		sed '1!s/^/    /' "$1/boot.json" | head -c -1
		separator=,
		shift
	done
	[ -z "$childNames" ] || printf '\n  '
	printf '},\n'
}

# The keys are sorted, as NixOS has them.
{
	cat <<X
{
  "org.nixos.bootspec.v1": {
    "init": "$out/init",
    "initrd": "$initrd/initrd",
    "kernel": "$kernel/bzImage",
    "kernelParams": $(list $params),
    "label": "NixOS Yarara $label (Linux $(ls "$kernel/lib/modules"))",
    "system": "$hostSystem",
    "toplevel": "$out"
  },
X
	activation
	children
	printf '  "org.nixos.systemd-boot": {\n    "sortKey": "nixos"\n  }\n}\n'
} >"$out/boot.json"
