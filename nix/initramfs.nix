# The initramfs of mkimage in the place of NixOS's. Its kernel modules and firmware are
# those of the system, its configuration that of a profile; which partition is the root
# the kernel's command line says.
{ lib, pkgs, config, mkimage, layouts, profile }:
let
  toml = pkgs.formats.toml { };
  folder = kind: documents: pkgs.linkFarm "mkimage-${kind}"
    (lib.mapAttrsToList (name: value: { name = "${name}.toml"; path = toml.generate "${name}.toml" value; }) documents);
  kernel = config.boot.kernelPackages.kernel;
in
pkgs.runCommand "mkimage-initramfs" { } ''
  modules=root/lib/modules/${kernel.modDirVersion}
  mkdir -p root/lib/modules root/lib/firmware $out
  cp -rL ${config.system.modulesTree}/lib/modules/${kernel.modDirVersion} root/lib/modules/
  chmod -R u+w root
  cp ${kernel}/${config.system.boot.loader.kernelFile} $modules/vmlinuz
  cp -rL ${config.hardware.firmware}/lib/firmware/. root/lib/firmware/
  ${lib.getExe mkimage} initramfs nixos --source dir:root --owner 0:0 --cache-dir cache -o initrd \
    --profile-dir ${folder "initramfs-profiles" { nixos = profile; }} --layout-dir ${folder "layouts" layouts}
  cat ${toString config.boot.initrd.prepend} initrd > $out/${config.system.boot.loader.initrdFile}
''
