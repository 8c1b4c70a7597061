# The outputs of the flake. mkimage runs on x86-64 Linux, and makes disks for it.
{ self, nixpkgs }:
let
  system = "x86_64-linux";
  documents = import ./extend.nix;
  package = pkgs: pkgs.callPackage ./package.nix {
    go = pkgs.go_1_26 or pkgs.go;
    src = self;
    version = self.shortRev or self.dirtyShortRev or "dev";
  };
  mkimage = package nixpkgs.legacyPackages.${system};
in
{
  packages.${system} = { inherit mkimage; default = mkimage; };

  apps.${system}.default = {
    type = "app";
    program = "${mkimage}/bin/mkimage";
    meta = { inherit (mkimage.meta) description; };
  };

  overlays.default = final: _: { mkimage = package final; };

  nixosModules.default = { lib, ... }: {
    imports = [ ./module.nix ];
    mkimage.package = lib.mkDefault mkimage;
  };

  # The built-in layouts and profiles, by name, as values to change.
  lib = { inherit (documents) layouts profiles; };

  checks.${system} = {
    inherit mkimage;
    # A small NixOS, with the commands that make its images.
    module = (nixpkgs.lib.nixosSystem {
      modules = [
        self.nixosModules.default
        {
          nixpkgs.hostPlatform = system;
          networking.hostName = "fox";
          system.stateVersion = nixpkgs.lib.trivial.release;
          mkimage.enable = true;
        }
      ];
    }).config.system.build.mkimage.bandit-minimal;
  };
}
