# What an image could not be made of or could not boot with, said when the system is
# evaluated: mkimage refuses it too, but only once everything is built.
{ config, lib, pkgs, ... }:
let
  cfg = config.mkimage;
  disk = import ./disk.nix { inherit (cfg) layout swap; };

  refuse = wrong: message: { assertion = !wrong; message = "mkimage: ${message}"; };

  # A file system has the label of its partition.
  isDevice = want: device:
    want.fsType == "tmpfs" || builtins.elem device [ want.device (builtins.replaceStrings [ "/by-partlabel/" ] [ "/by-label/" ] want.device) ];

  # The subvolume of a mount, however it is written.
  subvolumes = m: map (o: lib.removePrefix "/" (lib.removePrefix "subvol=" o)) (builtins.filter (lib.hasPrefix "subvol=") m.options);

  show = m: "${toString (subvolumes m ++ [ "of" (toString m.device) ])} (${m.fsType})";

  compare = target: want:
    let have = config.fileSystems.${target} or null; in
    if have == null then refuse true ''fileSystems."${target}" is missing, expected ${show want} by the layout''
    else refuse
      (!isDevice want have.device || have.fsType != want.fsType || subvolumes have != subvolumes want)
      ''fileSystems."${target}" is ${show have}, expected ${show want} by the layout: leave it to the module'';

  swapfiles = map (s: s.device) disk.swapDevices;
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      (refuse (!pkgs.stdenv.hostPlatform.isx86_64) "the system is for ${pkgs.stdenv.hostPlatform.system}, expected x86_64-linux")
      (refuse (config.boot.initrd.secrets != { })
        "boot.initrd.secrets: an initrd that needs secrets cannot be in an image; see docs/secrets.md for those of the system")
      # Its label is that of the file system on it, so that no table of mounts tells.
      (refuse ((config.boot.initrd.luks.devices or { }) != { })
        "boot.initrd.luks.devices: an image has no encrypted partition, and a rebuilt system would wait for ${toString (builtins.attrNames config.boot.initrd.luks.devices)}")
      (refuse (!config.boot.loader.systemd-boot.enable && (cfg.profile.boot.loader or "systemd-boot") != "grub")
        "boot.loader.systemd-boot.enable is false: images boot by systemd-boot, and later generations need it too; for GRUB set mkimage.profile.boot.loader")
      (refuse (cfg.swap != "none" && disk.swapDevices == [ ])
        "mkimage.swap is \"${cfg.swap}\", and the layout has no swapfile in the image: expected \"none\"")
      (refuse (builtins.any (s: !lib.hasPrefix "/dev/" s.device && !builtins.elem s.device swapfiles) config.swapDevices)
        "swapDevices: a file that the image does not have: expected ${if swapfiles == [ ] then "none" else toString swapfiles}")
    ] ++ lib.mapAttrsToList compare disk.fileSystems;

    warnings = lib.optional
      (disk.resumeDevice != null && cfg.resumeOffset == null && !cfg.initramfs.enable && !(config.boot.initrd.systemd.enable or false))
      ("mkimage.resumeOffset is not set: the scripted stage 1 of NixOS, which a rebuilt system boots with, does not resume "
        + "from a swapfile without it. On the machine: mkimage map-swapfile DEVICE");
  };
}
