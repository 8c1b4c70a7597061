# Another system, made of one that is there: with another label and an initrd of its own.
{ base, label }:
let
  busybox = builtins.storePath "@busybox@";
  top = builtins.storePath base;
  mk = name: env: derivation ({
    inherit name busybox top;
    system = "x86_64-linux";
    builder = "${busybox}/bin/sh";
    args = [ "-eu" ./second.sh ];
    PATH = "${busybox}/bin";
  } // env);
in
mk "nixos-system-fixture-${label}" {
  inherit label;
  part = "toplevel";
  initrd = mk "initrd-${label}" { inherit label; part = "initrd"; };
}
