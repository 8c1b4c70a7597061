{
  description = "mkimage makes, installs, recovers and verifies bootable disks";

  # Any nixpkgs with Go 1.26 will do: inputs.mkimage.inputs.nixpkgs.follows = "nixpkgs".
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs = { self, nixpkgs }: import ./nix/outputs.nix { inherit self nixpkgs; };
}
