#!@busybox@/bin/sh
# Makes this system the default of the boot menu, the running one, or both. The menu has what
# NixOS's builder for systemd-boot makes: an entry for each generation and specialisation,
# and no file of NixOS that none of them names.
set -eu
toplevel=@out@
export PATH=@busybox@/bin
esp=/boot
profiles=/nix/var/nix/profiles

die() {
	echo "switch-to-configuration: $*" >&2
	exit 1
}

# put gives a file its content at once, or leaves it as it was.
put() {
	cat >"$1.tmp"
	sync "$1.tmp"
	mv "$1.tmp" "$1"
}

# copied puts a file of the store on the ESP, unless it is there, and prints its name.
copied() {
	from=$(readlink -f "$1")
	object=${from#/nix/store/}
	rest=${object#*/}
	object=${object%%/*}
	name=$object.efi
	[ "$rest" = "$object" ] || name=$object-${rest##*/}.efi
	[ -e "$esp/EFI/nixos/$name" ] || put "$esp/EFI/nixos/$name" <"$from"
	echo "EFI/nixos/$name" >>"$live"
	echo "/EFI/nixos/$name"
}

# entry writes an entry: its name, its title, the number of its generation, its toplevel.
entry() {
	kernel=$(copied "$4/kernel")
	initrd=$(copied "$4/initrd")
	text=$(sed -n 's/^    "label": "\(.*\)",$/\1/p' "$4/boot.json")
	put "$esp/loader/entries/$1.conf" <<X
title $2
sort-key nixos
version Generation $3 $text, built on $(date -u -d "@$(stat -c %Z "$4")" +%Y-%m-%d)
linux $kernel
initrd $initrd
options init=$4/init $(cat "$4/kernel-params")
X
	echo "loader/entries/$1.conf" >>"$live"
}

# generation writes the entries of one.
generation() {
	entry "nixos-generation-$1" NixOS "$1" "$2"
	for child in "$2"/specialisation/*; do
		[ -L "$child" ] || continue
		name=${child##*/}
		entry "nixos-generation-$1-specialisation-$name" "NixOS ($name)" "$1" "$(readlink -f "$child")"
	done
}

# prune removes what NixOS made and no entry needs any more.
prune() {
	for file in "$esp"/loader/entries/nixos-*.conf "$esp"/EFI/nixos/*; do
		[ -e "$file" ] || continue
		grep -qxF "${file#"$esp"/}" "$live" || rm "$file"
	done
}

menu() {
	grep -q " $esp " /proc/mounts || die "$esp: nothing is mounted there"
	grep -q 'LoaderInfo: systemd-boot [0-9]' "$esp/EFI/systemd/systemd-bootx64.efi" 2>/dev/null ||
		die "$esp/EFI/systemd: no systemd-boot there that says its version"
	mkdir -p "$esp/loader/entries" "$esp/EFI/nixos"
	live=$(mktemp)
	default=
	for link in "$profiles"/system-*-link; do
		number=${link##*/system-}
		number=${number%-link}
		generation "$number" "$(readlink -f "$link")"
		[ "$(readlink -f "$link")" != "$toplevel" ] || default=nixos-generation-$number.conf
	done
	[ -n "$default" ] || die "$toplevel: is no generation of the profile"
	printf 'timeout 5\ndefault %s\nconsole-mode keep\n' "$default" | put "$esp/loader/loader.conf"
	prune
	rm "$live"
	sync
}

case ${1:-} in
boot) menu ;;
switch) menu; "$toplevel/activate" ;;
test) "$toplevel/activate" ;;
dry-activate) ;;
*) die "expected boot, switch, test or dry-activate, found ${1:-nothing}" ;;
esac
