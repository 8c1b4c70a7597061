# What NixOS must be told of a layout: the same as `mkimage layout --format nix` prints of
# a profile, but for the names of the partitions. Those are labels here: a disk gets its
# UUIDs when it is made or installed, which a configuration that is written before cannot
# know.
let
  inherit (builtins) filter head listToAttrs map;
  udev = import ./udev.nix;
in
# layout: with all that it extends; swap: a swap.policy of profiles.
{ layout, swap }:
let
  esp = udev.link "PARTLABEL" layout.esp.label;
  root = udev.link "PARTLABEL" layout.root.label;
  memory = layout.tmpfs_root.size or "" != "";
  subvolumes = layout.subvolumes or [ ];

  # The mount point of a subvolume.
  mountOf = name: (head (filter (s: s.name == name) subvolumes)).mount;

  mounted = filter (s: s.mount or "" != "" && !(memory && s.mount == "/")) subvolumes;

  subvolume = s: {
    name = s.mount;
    value = {
      device = root;
      fsType = "btrfs";
      options = [ "subvol=${s.name}" ] ++ layout.root.options or [ ] ++ s.options or [ ];
    } // (if s.early or false && s.mount != "/" then { neededForBoot = true; } else { });
  };

  persist = layout.persist or { };
  bind = target: {
    name = target;
    value = {
      device = mountOf persist.subvolume + target;
      fsType = "none";
      options = [ "bind" ];
      neededForBoot = true;
    };
  };
  binds = if persist.subvolume or "" == "" then [ ] else persist.directories or [ ] ++ persist.files or [ ];

  swapfile = layout.swapfile or { };
  inImage = !builtins.elem (swapfile.image or 0) [ 0 "0" ];
  swaps = swap != "none" && swapfile.subvolume or "" != "" && inImage;
in
{
  fileSystems = listToAttrs (
    map subvolume mounted ++ map bind binds ++ [{
      name = layout.esp.mount;
      value = { device = esp; fsType = "vfat"; options = [ "umask=0077" ]; };
    }]
  ) // (if !memory then { } else {
    "/" = {
      device = "tmpfs";
      fsType = "tmpfs";
      options = [ "size=${layout.tmpfs_root.size}" "mode=${layout.tmpfs_root.mode}" ];
    };
  });
  swapDevices = if swaps then [{ device = "${mountOf swapfile.subvolume}/${swapfile.name}"; }] else [ ];
  # Where a hibernated system is, null where none hibernates.
  resumeDevice = if swaps && swap == "hibernate" then root else null;
  # What the initramfs of mkimage finds the root by.
  rootParameter = "root=PARTLABEL=${layout.root.label}";
}
