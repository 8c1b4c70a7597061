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
cd systemd/system
mkdir multi-user.target.wants
ln -s /usr/lib/systemd/system/multi-user.target default.target
ln -s /dev/null serial-getty@ttyS0.service # which would hang up on what the report writes there
cp "$scripts/fixture-report.service" "$scripts/fixture-agent.service" .
ln -s ../fixture-report.service multi-user.target.wants/
