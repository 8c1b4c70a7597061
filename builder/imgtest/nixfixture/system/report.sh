#!@busybox@/bin/sh
# Says what became of the boot, for a test: a KEY=VALUE a line.
export PATH=/run/current-system/sw/bin:@busybox@/bin

if grep -qw fixture.second /proc/cmdline && [ ! -e /nix/var/nix/profiles/system-2-link ]; then
	second=$(fixture-second second 2>&1 | tail -n 1)
fi

# mount_of prints source, type and options of what is mounted.
mount_of() { findmnt -nr -o SOURCE,FSTYPE,OPTIONS --mountpoint "$1" | tail -n 1; }

# status_of prints the exit status of a command and its last line.
status_of() {
	said=$("$@" 2>&1)
	echo "$? $(echo "$said" | tail -n 1)"
}

# The units of the boot first, as the rest takes its time.
state=$(timeout 120 systemctl is-system-running --wait)

report() {
	echo "state=$state"
	echo "failed=$(systemctl --failed --no-legend --plain | awk '{ print $1 }' | xargs)"
	echo "stage1=$(cat /run/current-system/fixture-stage1)"
	echo "kernel=$(uname -r)"
	echo "cmdline=$(cat /proc/cmdline)"
	echo "version=$(cat /run/current-system/nixos-version)"
	echo "variant=$(sed -n 's/^VARIANT_ID=//p' /etc/os-release)"
	echo "current-system=$(readlink /run/current-system)"
	echo "booted-system=$(readlink /run/booted-system)"
	echo "profile=$(readlink /nix/var/nix/profiles/system)"
	for link in /nix/var/nix/profiles/system-*-link; do
		[ ! -L "$link" ] || echo "generation.${link##*/}=$(readlink "$link")"
	done
	for at in / /boot /home /nix /swap /var; do
		echo "mount.$at=$(mount_of $at)"
	done
	echo "store=$(mount_of /nix/store) $(stat -c '%u:%g %a' /nix/store)"
	echo "swap=$(sed 1d /proc/swaps | xargs)"
	echo "paths-on-disk=$(ls /nix/store | grep -vc '^\.links$')"
	echo "valid-paths=$(sqlite3 /nix/var/nix/db/db.sqlite 'select count(*) from ValidPaths' 2>&1)"
	echo "closure=$(nix-store -q --requisites /run/current-system 2>/dev/null | wc -l)"
	echo "verify=$(status_of nix-store --verify --check-contents)"
	echo "signatures=$(status_of nix store verify --no-contents --sigs-needed 1 --recursive /run/current-system)"
	echo "secret=$(cat /run/secrets/fixture 2>/dev/null)"
	echo "secret-mode=$(stat -L -c '%u:%g %a' /run/secrets/fixture 2>/dev/null)"
	echo "credentials=$(ls /run/credentials/@system 2>/dev/null | xargs)"
	echo "entries=$(ls /boot/loader/entries 2>/dev/null | xargs)"
	echo "kernels=$(ls /boot/EFI/nixos 2>/dev/null | xargs)"
	echo "default=$(sed -n 's/^default //p' /boot/loader/loader.conf 2>/dev/null)"
	[ -z "${second:-}" ] || echo "second=$second"
}

report >/run/fixture-report
echo
echo FIXTURE-BEGIN
cat /run/fixture-report
echo FIXTURE-OK
if grep -qw fixture.poweroff /proc/cmdline; then
	systemctl --no-block poweroff
fi
