# The Go modules that mkimage and what it embeds are built of, vendored: one directory for
# each module of this repository. The hash follows from go.mod, go.sum and the imports of
# these, and `make nix-modules` writes it.
{ lib, stdenvNoCC, go, cacert, git, src ? ../. }:
let
  pinned = builtins.fromJSON (builtins.readFile ./modules.json);

  # Where the modules are, by the names that their directories have in the result.
  directories = { main = "."; busybox = "initramfs/busybox"; restic = "installer/restic"; };
in
stdenvNoCC.mkDerivation {
  name = "mkimage-modules";
  inherit src;
  nativeBuildInputs = [ go cacert git ];
  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "GOPROXY" "NETRC" ];

  dontConfigure = true;
  buildPhase = ''
    runHook preBuild
    export HOME=$TMPDIR GOFLAGS= GOTOOLCHAIN=local
  '' + lib.concatStrings (lib.mapAttrsToList
    (name: dir: ''
      (cd ${dir} && go mod vendor -o $out/${name})
    '')
    directories) + ''
    runHook postBuild
  '';
  dontInstall = true;
  dontFixup = true;

  outputHashMode = "recursive";
  outputHash = pinned.hash;

  passthru = { inherit directories; };
}
