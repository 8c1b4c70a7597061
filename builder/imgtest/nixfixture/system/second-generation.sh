#!@busybox@/bin/sh
# Builds another system of the running one, without network, as nixos-rebuild boot would.
# The argument is its label. Prints its toplevel.
set -eu
export PATH=/run/current-system/sw/bin:@busybox@/bin HOME=/root
base=$(readlink -f /run/current-system)
top=$(nix-build --no-out-link /etc/fixture/second.nix --argstr base "$base" --argstr label "${1:-second}")
nix-env -p /nix/var/nix/profiles/system --set "$top"
"$top/bin/switch-to-configuration" boot
echo "$top"
