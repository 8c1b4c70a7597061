# Names that udev and systemd make of others.
let
  inherit (builtins) elem filter isString match replaceStrings split stringLength substring;

  # Every printable ASCII character but letters, digits, ":" and "_", with its code.
  codes = {
    " " = "20"; "!" = "21"; "\"" = "22"; "#" = "23"; "$" = "24"; "%" = "25"; "&" = "26"; "'" = "27";
    "(" = "28"; ")" = "29"; "*" = "2a"; "+" = "2b"; "," = "2c"; "-" = "2d"; "." = "2e"; "/" = "2f";
    ";" = "3b"; "<" = "3c"; "=" = "3d"; ">" = "3e"; "?" = "3f"; "@" = "40"; "[" = "5b"; "\\" = "5c";
    "]" = "5d"; "^" = "5e"; "`" = "60"; "{" = "7b"; "|" = "7c"; "}" = "7d"; "~" = "7e";
  };

  escape = kept: text:
    let
      names = filter (c: !elem c kept) (builtins.attrNames codes);
    in
    if match "[ -~]*" text == null then
      throw "mkimage: ${builtins.toJSON text}: expected a name in ASCII, without control characters"
    else replaceStrings names (map (c: "\\x" + codes.${c}) names) text;

  # As in encode_devnode_name of systemd's device-nodes.c.
  udevName = escape [ "#" "+" "-" "." "=" "@" ];

  directories = { LABEL = "by-label"; UUID = "by-uuid"; PARTLABEL = "by-partlabel"; PARTUUID = "by-partuuid"; };
in
rec {
  # The link that udev makes for a tag of fstab(5), such as PARTLABEL, and its value.
  link = tag: name: "/dev/disk/${directories.${tag}}/${udevName name}";

  # The same for TAG=VALUE.
  device = disk:
    let parts = match "([A-Z]+)=(.+)" disk; in
    if parts == null || !(directories ? ${builtins.head parts}) then
      throw "mkimage: disk ${builtins.toJSON disk}: expected LABEL=, UUID= or PARTLABEL= and a name"
    else link (builtins.head parts) (builtins.elemAt parts 1);

  # A path as systemd-escape --path writes it.
  unitOfPath = path:
    let
      parts = filter (p: isString p && p != "") (split "/" path);
      text = builtins.concatStringsSep "/" parts;
      dot = substring 0 1 text == ".";
      rest = if dot then substring 1 (stringLength text) text else text;
    in
    (if dot then "\\x2e" else "") + replaceStrings [ "/" ] [ "-" ] (escape [ "." "/" ] rest);
}
