# A NixOS that mkimage makes disks of: what the system must know of its disk, and commands
# that make the disk.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mapAttrs mkDefault mkIf;
  cfg = config.mkimage;
  documents = import ./extend.nix;

  isNamed = builtins.isString cfg.layout;
  disk = import ./disk.nix { inherit (cfg) layout swap; };

  common = documents.resolve { builtin = documents.profiles; documents = cfg.profiles; }
    ({ extends = "bandit-minimal"; } // cfg.profile);

  image = {
    mkimage = cfg.package;
    layouts = lib.optionalAttrs (!isNamed) { nixos = cfg.layout; };
  };

  # What every profile of this system says.
  ofSystem = {
    extends = "builtin:bandit-minimal";
    hostname = config.networking.hostName;
    source = "nix:${config.system.build.toplevel}";
    layout = if isNamed then cfg.layout else "nixos";
    swap.policy = cfg.swap;
  };

  # What the kernel needs to mount an /etc that is an image. Of the system's own initrd NixOS
  # says so itself.
  ofEtcImage = lib.optionals (config.system.etc.overlay.enable or false) [ "erofs" "loop" "overlay" ];

  # A medium says nothing of a system, but which profile it installs or brings back.
  isMedium = p: builtins.elem (p.kind or "") [ "installer" "rescue" ]
    || builtins.elem (p.extends or "") [ "builtin:bandit-installer" "builtin:bandit-rescue" ];

  builtin = lib.genAttrs [ "bandit-minimal" "bandit-full" "bandit-dev" ] (name: { extends = "builtin:${name}"; });
  profiles = mapAttrs
    (_: p: if isMedium p then p else lib.foldl documents.combine ofSystem [ cfg.profile p ])
    (builtin // cfg.profiles);
in
{
  imports = [ ./options.nix ./checks.nix ];

  config = mkIf cfg.enable {
    fileSystems = mapAttrs (_: mapAttrs (_: mkDefault)) disk.fileSystems;
    swapDevices = mkDefault disk.swapDevices;
    boot.resumeDevice = mkIf (disk.resumeDevice != null) (mkDefault disk.resumeDevice);
    # Of a parameter that is there twice the last counts, and NixOS has a root= too.
    boot.kernelParams = lib.mkAfter (
      lib.optional (cfg.resumeOffset != null) "resume_offset=${toString cfg.resumeOffset}"
      ++ lib.optionals cfg.initramfs.enable [ disk.rootParameter "rootfstype=btrfs" "rw" ]
    );
    boot.initrd.availableKernelModules = common.initramfs.modules;
    boot.loader.systemd-boot.enable = mkDefault true;
    boot.loader.efi.efiSysMountPoint = mkDefault disk.layout.esp.mount;
    boot.loader.grub.enable = mkDefault false;

    system.build.initialRamdisk = mkIf cfg.initramfs.enable (lib.mkForce (import ./initramfs.nix {
      inherit lib pkgs config;
      inherit (image) mkimage layouts;
      profile = lib.foldl documents.combine (removeAttrs ofSystem [ "source" ]) [ cfg.profile { initramfs.modules = ofEtcImage; } ];
    }));

    systemd.units = mkIf cfg.units.enable (import ./units.nix common);

    system.build.mkimage = import ./image.nix (image // { inherit lib pkgs profiles; });
  };
}
