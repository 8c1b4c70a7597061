# The static /etc.
. "$scripts/subst.sh"
mkdir -p "$out/etc"
cd "$out/etc"
install -m 644 "$fstab" fstab
echo fixture >hostname
cat >os-release <<X
NAME=NixOS
ID=nixos
PRETTY_NAME="NixOS fixture"
VERSION_ID="26.05"
BUILD_ID="$label"
VARIANT_ID=$variant
X
for name in pam.d security login.defs nsswitch.conf ld.so.conf ld.so.conf.d dbus-1 udev shells profile bash.bashrc; do
	[ ! -e "$userland/etc/$name" ] || cp -r "$userland/etc/$name" .
done
chmod -R u+w .
mkdir -p nix tmpfiles.d fixture udev/rules.d
echo 'SUBSYSTEM=="virtio-ports", ATTR{name}=="mkimage.test", TAG+="systemd", ENV{SYSTEMD_WANTS}+="fixture-agent.service"' \
	>udev/rules.d/90-fixture.rules
cat >nix/nix.conf <<X
build-users-group =
experimental-features = nix-command
sandbox = false
substituters =
trusted-public-keys = $trustedKey
X
echo 'd /home/ada 0700 ada ada' >tmpfiles.d/fixture.conf
subst "$scripts/second.nix" fixture/second.nix
install -m 644 "$scripts/second.sh" fixture/second.sh

mkdir -p systemd/system
install -m 644 "$scripts/system.conf" systemd/

# what_nobody_makes is what an activation would make, or units of NixOS.
what_nobody_makes() {
	cp "$userland/etc/passwd" "$userland/etc/group" "$userland/etc/shadow" .
	chmod u+w passwd group shadow
	echo 'ada:x:1000:1000::/home/ada:/bin/sh' >>passwd
	printf 'ada:x:1000:\nnixbld:x:30000:\n' >>group
	echo 'ada:*:::::::' >>shadow
	for name in current-system booted-system; do
		echo "L+ /nix/var/nix/gcroots/$name - - - - /run/$name"
	done >>tmpfiles.d/fixture.conf
	mkdir systemd/system/sysinit.target.wants
	cp "$scripts/sops-install-secrets.service" systemd/system/
	ln -s ../sops-install-secrets.service systemd/system/sysinit.target.wants/
}
[ -z "$image" ] || what_nobody_makes
cd systemd/system
mkdir multi-user.target.wants
ln -s /usr/lib/systemd/system/multi-user.target default.target
ln -s /dev/null serial-getty@ttyS0.service # which would hang up on what the report writes there
cp "$scripts/fixture-report.service" "$scripts/fixture-agent.service" .
ln -s ../fixture-report.service multi-user.target.wants/
