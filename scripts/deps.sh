#!/usr/bin/env bash
# Installs the Debian packages that the build and the tests need, on Debian 12.
# It does nothing, and needs no root, when they are there already.
set -euo pipefail

# The checker of btrfs-progs 6.2, which Debian 12 has, does not know all that
# is written here (mkfs --subvol came with 6.11, --compress with 6.12). The
# disks of QEMU 7.2, which it has, take twice as long to read and to write.
declare -A at_least=([btrfs-progs]=6.14 [qemu-system-x86]=1:10.0)

packages=(
	ca-certificates git make    # the build
	mmdebstrap uidmap           # the reference userland, without root
	attr acl libcap2-bin        # extended attributes, ACLs, file capabilities
	zstd xz-utils bzip2 tar libarchive-tools # compressed sources, and bsdtar for its formats
	mount util-linux e2fsprogs  # losetup, setpriv, lsattr
	file man-db
	time                        # peaks of memory in benchmarks
	ovmf                        # the firmware of boots of what was built, by qemu-system-x86
	mtools dosfstools gdisk fdisk # other people's readers of FAT32 and GPT
	systemd-boot-efi            # the boot loader of made systems
	grub-efi-amd64-bin          # GRUB of made systems, and grub-script-check, which reads what it is told
	systemd                     # systemd-analyze, which reads units that are written
	minisign efibootmgr         # other people's signatures and boot entries
	gddrescue                   # goes on with the maps of disks that fail, and we with its
	bmap-tools                  # what writing a disk is compared with
	restic                      # makes the repositories that are restored from
	openssh-server openssh-client # lets people into a rescue environment
	nix-bin                     # parses and evaluates the modules of NixOS that are written
	patchelf                    # makes programs of Debian look like those of NixOS
	cpio kmod binutils          # of the initramfs, of modules, of a UKI
	busybox-static              # a shell without libraries, for root directories of tests
	dracut-core initramfs-tools-core # lsinitrd, lsinitramfs, unmkinitramfs
)
backports=(btrfs-progs qemu-system-x86 qemu-utils)
command -v go >/dev/null || backports+=(golang-go) # fetches the toolchain that go.mod names

die() { echo "deps: $*" >&2; exit 1; }

missing() {
	local p
	for p in "${packages[@]}" "${backports[@]}"; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed' || echo "$p"
	done
}

version_of() {
	dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo 0
}

# too_old prints the packages that are older than they have to be.
too_old() {
	local p
	for p in "${!at_least[@]}"; do
		dpkg --compare-versions "$(version_of "$p")" ge "${at_least[$p]}" || echo "$p"
	done
}

# mirror_of prints "URI KEYRING" of the first source of suite $1 that this
# machine has, in a deb822 file or else in a one-line file; KEYRING may be
# missing.
mirror_of() {
	local files
	mapfile -t files < <(find /etc/apt -name '*.sources')
	awk -v suite="$1" '
		function end_of_stanza() { if (uri != "" && here > 0) { print uri, key; uri = ""; exit } uri = key = ""; here = 0 }
		FNR == 1 || /^[ \t]*$/ { end_of_stanza() }
		/^Enabled:[ \t]*no/ { here = -99 }
		/^URIs:/ { uri = $2 }
		/^Suites:/ { for (i = 2; i <= NF; i++) if ($i == suite) here++ }
		/^Signed-By:/ { key = $2 }
		END { end_of_stanza() }' "${files[@]}" /dev/null | grep . && return
	mapfile -t files < <(find /etc/apt -name '*.list')
	awk -v suite="$1" '
		$1 == "deb" {
			key = match($0, /signed-by=[^] ]*/) ? substr($0, RSTART + 10, RLENGTH - 10) : ""
			sub(/^deb[ \t]+(\[[^]]*\][ \t]*)?/, "")
			if ($2 == suite) { print $1, key; exit }
		}' "${files[@]}" /dev/null | grep .
}

add_backports() {
	local suite=$1-backports uri key
	mirror_of "$suite" >/dev/null && return
	read -r uri key < <(mirror_of "$1") || die "no apt source of $1 found below /etc/apt, so that there is no mirror to take $suite from"
	{
		printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$suite"
		[ -z "$key" ] || printf 'Signed-By: %s\n' "$key"
	} >/etc/apt/sources.list.d/mkimage-backports.sources
	echo "deps: added $suite to the apt sources"
}

# install_bootctl takes bootctl out of its package: where there is an EFI system
# partition, installing the package would make systemd-boot this machine's loader.
install_bootctl() {
	local dir
	dir=$(mktemp -d)
	(cd "$dir" && apt-get download -q systemd-boot && dpkg-deb -x systemd-boot_*.deb .)
	install -D -m 0755 "$dir/usr/bin/bootctl" /usr/local/bin/bootctl
	rm -r "$dir"
}

main() {
	command -v dpkg-query >/dev/null || die "needs Debian; elsewhere install these programs by hand: btrfs-progs >= ${at_least[btrfs-progs]} ${packages[*]} ${backports[*]}"
	local wanted p
	wanted=$({ missing; too_old; } | sort -u | tr "\n" " ")
	if [ -z "$wanted" ] && command -v bootctl >/dev/null; then
		echo "deps: all there"
		return
	fi
	[ "$(id -u)" = 0 ] || die "needs root to install: ${wanted:-bootctl}"
	echo "deps: installing ${wanted:-bootctl}"
	local codename new
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	[ "$codename" != bookworm ] || add_backports "$codename"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	local from=()
	[ "$codename" != bookworm ] || from=(-t "$codename-backports")
	apt-get install -q -y --no-install-recommends "${from[@]}" "${backports[@]}"
	mapfile -t new < <(missing)
	[ ${#new[@]} = 0 ] || apt-get install -q -y --no-install-recommends "${new[@]}"
	command -v bootctl >/dev/null || install_bootctl
	for p in $(too_old); do
		die "$p is $(version_of "$p"), expected ${at_least[$p]} or newer"
	done
}

main "$@"
