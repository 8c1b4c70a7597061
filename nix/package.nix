# mkimage as a package. It is built as `make build man` builds it, of modules that are
# vendored before: modules.nix.
#
# Programs that mkimage starts it finds in PATH: nix for a source nix:FLAKE#HOST, QEMU for
# run and test, mmdebstrap for a source debian:SUITE. Images need none of them.
{ lib, stdenv, callPackage, go, installShellFiles, src ? ../., version ? "dev" }:
let
  modules = callPackage ./modules.nix { inherit go src; };
in
assert lib.assertMsg (lib.versionAtLeast go.version "1.26")
  "mkimage: needs Go 1.26, found ${go.version}: take a newer nixpkgs, or give `go`";
stdenv.mkDerivation {
  pname = "mkimage";
  inherit version src;

  nativeBuildInputs = [ go installShellFiles ];

  postPatch = ''
    patchShebangs scripts
    for module in ${lib.concatStringsSep " " (lib.mapAttrsToList (name: dir: "${name}:${dir}") modules.directories)}; do
      rm -rf "''${module#*:}/vendor"
      cp -R --no-preserve=mode,ownership "${modules}/''${module%%:*}" "''${module#*:}/vendor"
    done
  '';

  buildPhase = ''
    runHook preBuild
    export HOME=$TMPDIR GOPROXY=off GOSUMDB=off GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
    make SHELL=${stdenv.shell} build man
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    install -D -t $out/bin bin/mkimage bin/mkimage-install
    installManPage bin/man/*
    installShellCompletion bin/completions/mkimage.{bash,zsh,fish}
    runHook postInstall
  '';

  # They are static already, and what is embedded in them must not change.
  dontStrip = true;
  dontPatchELF = true;
  disallowedReferences = [ go ];

  passthru = { inherit modules; };

  meta = {
    description = "Makes, installs, recovers and verifies bootable disks";
    homepage = "https://github.com/6FaNcY9/mkimage";
    mainProgram = "mkimage";
    platforms = [ "x86_64-linux" ];
  };
}
