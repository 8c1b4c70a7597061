# The options of the NixOS module.
{ config, lib, pkgs, ... }:
let
  inherit (lib) literalExpression mkEnableOption mkOption types;
  document = (pkgs.formats.toml { }).type;
  hasSwapfile = (import ./disk.nix { inherit (config.mkimage) layout; swap = "swapfile"; }).swapDevices != [ ];
in
{
  options.mkimage = {
    enable = mkEnableOption "a disk as mkimage makes it: file systems, swap, and the commands that make images of this system";

    package = mkOption {
      type = types.package;
      description = "The mkimage that makes the images.";
    };

    layout = mkOption {
      type = types.either types.str document;
      default = "btrfs-laptop";
      example = literalExpression ''{ extends = "btrfs-laptop"; esp.size = "2GiB"; }'';
      description = ''
        The layout of the disk: the name of one that is built in, or a layout, as in
        docs/layouts.md. The file systems, swap devices and resume device of the system
        follow from it.
      '';
    };

    profile = mkOption {
      type = document;
      default = { };
      example = literalExpression ''{ initramfs.modules = [ "thunderbolt" ]; boot.timeout = 0; }'';
      description = ''
        What each of {option}`mkimage.profiles` has besides, as in docs/profiles.md. It
        changes them as a file that extends them would.
      '';
    };

    profiles = mkOption {
      type = types.attrsOf document;
      default = { };
      example = literalExpression ''{ stick = { kind = "installer"; payload = "bandit-full"; layout = "usb-installer"; }; }'';
      description = ''
        Profiles of images of this system, by name. Besides these there are bandit-minimal,
        bandit-full and bandit-dev, which extend those that are built in. Each becomes a
        command, {option}`system.build.mkimage`.NAME.
      '';
    };

    swap = mkOption {
      type = types.enum [ "none" "swapfile" "hibernate" ];
      default = config.mkimage.profile.swap.policy or (if hasSwapfile then "hibernate" else "none");
      defaultText = literalExpression ''"hibernate", or "none" where the layout has no swapfile'';
      description = "What the swapfile of the layout is used for, in every image: swap.policy of a profile.";
    };

    initramfs.enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the system boots with the initramfs of mkimage in the place of NixOS's stage
        1, also after it was rebuilt. It has what `initramfs` of {option}`mkimage.profile`
        says, finds the swapfile by itself, and brings the units of the first boot.
      '';
    };

    resumeOffset = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 63408;
      description = ''
        Where the swapfile begins, in pages: what `mkimage map-swapfile DEVICE` prints once
        the first boot has made it. A scripted stage 1 of NixOS, and one with systemd on a
        machine without UEFI, resumes with it alone. The initramfs of mkimage needs none.
      '';
    };

    units.enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the system has the units of the first boot and of backups that follow from
        `secrets`, `restore` and `backup` of {option}`mkimage.profile`. In an image the
        initramfs of mkimage brings them; a system that was rebuilt boots with its own.
      '';
    };
  };
}
