# As much of nixpkgs as the module and the flake need, for tests without it: options with
# their defaults, definitions by priority, and builders that return what they are given.
let
  inherit (builtins)
    all any attrNames concatLists concatMap elem elemAt filter foldl' head isAttrs isFunction isList isPath listToAttrs map mapAttrs
    match replaceStrings stringLength substring tail toJSON zipAttrsWith;

  typed = v: if isAttrs v then v._type or null else null;
  plain = v: isAttrs v && typed v == null && !(v ? outPath);

  lib = rec {
    mkOption = o: o // { _type = "option"; };
    mkEnableOption = _: mkOption { default = false; };
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkOverride = priority: content: { _type = "override"; inherit priority content; };
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    literalExpression = text: text;
    types = {
      bool = "bool"; str = "str"; package = "package"; ints.positive = "positive";
      either = a: b: [ a b ]; enum = list: list; attrsOf = t: t; nullOr = t: t;
    };
    inherit (builtins) mapAttrs;
    foldl = foldl';
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    genAttrs = names: f: listToAttrs (map (name: { inherit name; value = f name; }) names);
    optional = condition: v: if condition then [ v ] else [ ];
    optionals = condition: list: if condition then list else [ ];
    mkAfter = content: { _type = "after"; inherit content; };
    optionalAttrs = condition: set: if condition then set else { };
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    removePrefix = prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
    concatStrings = builtins.concatStringsSep "";
    concatStringsSep = builtins.concatStringsSep;
    escapeShellArg = text: "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    assertMsg = condition: message: if condition then true else throw message;
    versionAtLeast = have: want: builtins.compareVersions have want >= 0;
    fetchers.proxyImpureEnvVars = [ ];
    trivial.release = "26.05";
  };

  # Conditions and priorities of a set hold for what is in it.
  push = v:
    if typed v == "if" && plain (push v.content) then mapAttrs (_: lib.mkIf v.condition) (push v.content)
    else if typed v == "override" && plain (push v.content) then mapAttrs (_: lib.mkOverride v.priority) (push v.content)
    else v;

  expand = v:
    if typed v == "if" then (if v.condition then expand v.content else [ ])
    else if typed v == "override" then map (d: d // { inherit (v) priority; }) (expand v.content)
    else if typed v == "after" then map (d: d // { last = true; }) (expand v.content)
    else [{ priority = 100; value = v; last = false; }];

  # What definitions come to at a place; null where there is none.
  merge = place: definitions:
    let
      pushed = map push definitions;
      found = concatMap expand pushed;
      first = foldl' (p: d: if d.priority < p then d.priority else p) 9999 found;
      chosen = filter (d: d.priority == first) found;
      values = map (d: d.value) (filter (d: !d.last) chosen ++ filter (d: d.last) chosen);
    in
    if any plain pushed then zipAttrsWith (name: merge (place ++ [ name ])) (filter plain pushed)
    else if values == [ ] then null
    else if all isList values then concatLists values
    else if all (v: v == head values) values then head values
    else throw "${toJSON place}: defined more than once";

  optionDefaults = v:
    if typed v == "option" then (if v ? default then lib.mkOverride 1500 v.default else lib.mkIf false null)
    else mapAttrs (_: optionDefaults) v;

  # What NixOS declares itself.
  nixos = mapAttrs (_: lib.mkOverride 1500) {
    assertions = [ ]; warnings = [ ]; swapDevices = [ ];
  } // {
    networking.hostName = lib.mkOverride 1500 "nixos";
    hardware.firmware = "/made/firmware";
    system.modulesTree = "/made/modules";
    system.boot.loader = { kernelFile = "bzImage"; initrdFile = "initrd"; };
    system.build.initialRamdisk = "NixOS's";
    system.build.toplevel = "/nix/store/00000000000000000000000000000000-nixos-system-fox";
    boot = {
      resumeDevice = lib.mkOverride 1500 "";
      kernelParams = lib.mkOverride 1500 [ ];
      kernelPackages.kernel = { outPath = "/made/linux"; modDirVersion = "6.18.1"; };
      initrd.secrets = { };
      initrd.prepend = [ "/made/microcode.img" ];
      loader.systemd-boot.enable = lib.mkOverride 1500 false;
    };
    fileSystems = { };
  };

  pkgs = rec {
    inherit lib;
    stdenv = {
      shell = "/bin/sh";
      hostPlatform = { system = "x86_64-linux"; isx86_64 = true; };
      mkDerivation = made;
    };
    stdenvNoCC = stdenv;
    # Of a builder only what it was given, and a path to name it by.
    made = given: given // (given.passthru or { }) // { outPath = "/made/${given.pname or given.name}"; };
    go_1_26 = { version = "1.26.1"; outPath = "/made/go"; };
    cacert = "cacert"; git = "git"; installShellFiles = "installShellFiles";
    callPackage = file: given:
      let f = import file; in f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // given);
    formats.toml = _: { type = "toml"; generate = name: value: { inherit name value; }; };
    # The path of a folder is what is in it.
    linkFarm = name: list: { outPath = toJSON (map (e: e.path) list); };
    writeShellApplication = given: given;
    runCommand = name: _: script: { inherit name script; outPath = "/made/${name}"; };
  };

  # The configuration that modules come to.
  evaluate = modules:
    let
      call = m:
        let v = if isPath m then import m else m; in
        if isFunction v then v { inherit config lib pkgs; } else v;
      collect = m:
        let v = call m; in
        concatMap collect (v.imports or [ ])
        ++ [ (if v ? config || v ? options then v else { config = removeAttrs v [ "imports" ]; }) ];
      all' = concatMap collect modules;
      config = merge [ ] ([ nixos ] ++ map (m: optionDefaults (m.options or { })) all' ++ map (m: m.config or { }) all');
    in
    config;
in
{
  inherit lib pkgs evaluate;
  nixpkgs = {
    lib = lib // { nixosSystem = { modules }: { config = evaluate modules; }; };
    legacyPackages.x86_64-linux = pkgs;
  };
}
