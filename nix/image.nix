# Commands that make images of a NixOS, one for each profile.
#
# They are commands, not derivations that hold an image. A build in Nix's sandbox has the
# objects of a store but not its database, of which a source nix:STOREPATH takes their
# hashes. And what is in a store everybody can read, at two places and twice the size of
# the disk, where mkimage makes an image of a NixOS readable by its owner alone.
{ lib, pkgs, mkimage, layouts, profiles }:
let
  toml = pkgs.formats.toml { };
  folder = kind: documents: pkgs.linkFarm "mkimage-${kind}"
    (lib.mapAttrsToList (name: value: { name = "${name}.toml"; path = toml.generate "${name}.toml" value; }) documents);
  profileDir = folder "profiles" profiles;
  layoutDir = folder "layouts" layouts;
in
lib.mapAttrs
  (name: _: pkgs.writeShellApplication {
    name = "mkimage-${name}";
    text = ''
      exec ${lib.getExe mkimage} build ${lib.escapeShellArg name} --profile-dir ${profileDir} --layout-dir ${layoutDir} "$@"
    '';
  })
  profiles
