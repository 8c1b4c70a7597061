# A system in the shape of NixOS, made of Debian's binaries by `derivation` and builtins alone:
# a toplevel for each kind of stage 1. They share all but their initrds, and the last one has
# its /etc as an image.
{ userlandTar # a root file system of Debian, with a kernel
, sops # a static program
, etcImage # a static program that makes an /etc that is an image
, nixosInit # a static program, the init of a system that nixos-init makes ready
, secrets # a file that sops encrypted
, trustedKey # of the cache that will hold the system
}:
let
  system = "x86_64-linux";
  label = "26.05.20260601.0000000";
  scripts = ./.;

  # mk makes a store object by a script of this directory.
  mk = name: script: env: derivation ({
    inherit name system scripts;
    builder = "/bin/sh";
    args = [ "-eu" (./. + "/${script}") ];
    PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
    LC_ALL = "C";
    TZ = "UTC";
    SOURCE_DATE_EPOCH = "1";
  } // env);

  busybox = mk "busybox-static" "busybox.sh" { inherit userlandTar; };
  kernel = mk "linux-6.1" "kernel.sh" { inherit userlandTar; };
  modules = mk "linux-6.1-modules" "kernel-modules.sh" { inherit kernel; };
  userland = mk "debian-userland" "userland.sh" { inherit userlandTar; };
  systemd = mk "systemd" "systemd.sh" { inherit userland; };
  firmware = mk "firmware" "firmware.sh" { };
  imager = mk "etcimage" "program.sh" { program = etcImage; programName = "etcimage"; };
  decrypter = mk "sops" "sops.sh" { inherit sops; };
  edge = mk "edge-cases" "edge-cases.sh" { };
  systemPath = mk "system-path" "system-path.sh" { inherit userland busybox decrypter; };

  # What every system with btrfs-laptop as its layout has. The first column is by label, so
  # that one closure serves every disk.
  fstab = builtins.toFile "etc-fstab" ''
    # This file was generated, as NixOS does from fileSystems and swapDevices.

    # Filesystems.
    /dev/disk/by-label/nixos / btrfs x-initrd.mount,subvol=@,compress=zstd:3,noatime,discard=async 0 0
    /dev/disk/by-label/ESP /boot vfat umask=0077 0 2
    /dev/disk/by-label/nixos /home btrfs subvol=@home,compress=zstd:3,noatime,discard=async 0 0
    /dev/disk/by-label/nixos /nix btrfs x-initrd.mount,subvol=@nix,compress=zstd:3,noatime,discard=async 0 0
    /dev/disk/by-label/nixos /swap btrfs subvol=@swap,compress=zstd:3,noatime,discard=async 0 0
    /dev/disk/by-label/nixos /var btrfs x-initrd.mount,subvol=@var,compress=zstd:3,noatime,discard=async 0 0

    # Swap devices.
    /swap/swapfile none swap defaults 0 0
  '';

  # image is "yes" for an /etc that is to be an image, and has what no activation makes.
  etcOf = image: variant: mk "etc" "etc.sh" { inherit userland busybox fstab label variant trustedKey image; };

  initrds = {
    scripted = mk "initrd-linux-6.1" "initrd.sh" { inherit kernel busybox fstab; stage1 = "scripted"; userland = ""; };
    systemd = mk "initrd-linux-6.1" "initrd.sh" { inherit kernel busybox fstab userland; stage1 = "systemd"; };
    nixos-init = mk "initrd-linux-6.1" "initrd.sh" { inherit kernel busybox fstab userland; stage1 = "nixos-init"; };
  };

  toplevel = stage1: { variant ? "", params, specialisations ? { } }: let
    image = if stage1 == "nixos-init" then "yes" else "";
    etc = etcOf image variant;
  in mk "nixos-system-fixture-${label}" "toplevel.sh" {
    inherit kernel modules firmware systemPath systemd busybox userland decrypter edge secrets stage1 label params;
    inherit etc nixosInit;
    hostSystem = system;
    etcOverlay = if image == "" then "" else mk "etc-overlay" "etc-overlay.sh" { inherit etc; etcImage = imager; };
    initrd = initrds.${stage1};
    childNames = builtins.attrNames specialisations;
    childPaths = builtins.attrValues specialisations;
  };

  params = [ "console=ttyS0,115200n8" "loglevel=4" "lsm=landlock,yama,bpf" ];
  systemOf = stage1: toplevel stage1 {
    inherit params;
    specialisations.debug = toplevel stage1 { variant = "debug"; params = params ++ [ "fixture.debug" ]; };
  };
in
{
  scripted = systemOf "scripted";
  systemd = systemOf "systemd";
  nixos-init = systemOf "nixos-init";
}
