# The kernel of Debian with the few modules that virtual machines need.
. "$scripts/modules.sh"
mkdir t
tar -xf "$userlandTar" -C t ./boot ./usr/lib/modules
mkdir "$out"
take_modules t/usr "$out" $root_modules $disk_modules $credential_modules $system_modules
install -m 644 t/boot/vmlinuz-* "$out/bzImage"
install -m 644 t/boot/config-* "$out/config"
