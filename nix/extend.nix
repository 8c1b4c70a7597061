# What `extends` means in profiles and layouts, see docs/profiles.md, for values of the
# Nix language: package builder/strict does the same to TOML. What that refuses is not
# refused here, as mkimage reads every profile that a module makes.
let
  inherit (builtins)
    attrNames elem filter foldl' fromTOML hasAttr isAttrs isList map readFile removeAttrs stringLength substring;

  # How an element of a list is called.
  nameOf = element: if isAttrs element then element.name or "" else element;

  # The text behind a prefix, or null.
  behind = prefix: text:
    let n = stringLength prefix; in
    if builtins.isString text && substring 0 n text == prefix then substring n (stringLength text) text else null;

  add = list: element:
    let
      name = nameOf element;
      gone = behind "!" name;
    in
    if gone == "*" then [ ]
    else if gone != null then filter (e: nameOf e != gone) list
    else if !elem name (map nameOf list) then list ++ [ (value null element) ]
    else if isAttrs element then map (e: if nameOf e == name then value e element else e) list
    else list;

  # A value of a child over that of its parent, which is null where there is none.
  value = parent: child:
    if isAttrs child then
      let base = if isAttrs parent then parent else { }; in
      base // builtins.mapAttrs (key: value (base.${key} or null)) child
    else if isList child then foldl' add (if isList parent then parent else [ ]) child
    else child;

  # The built-in documents of a directory, by name.
  library = directory:
    let
      suffix = ".toml";
      isDocument = file: stringLength file > 5 && substring (stringLength file - 5) 5 file == suffix;
      name = file: substring 0 (stringLength file - 5) file;
    in
    builtins.listToAttrs (map
      (file: { name = name file; value = fromTOML (readFile (directory + "/${file}")); })
      (filter isDocument (attrNames (builtins.readDir directory))));
in
rec {
  layouts = library ../layouts/builtin;
  profiles = library ../profiles/builtin;

  # Two documents as one, which changes a parent as the one does, and then the other.
  combine = first: second:
    if isAttrs first && isAttrs second then
      first // builtins.mapAttrs (key: v: if first ? ${key} then combine first.${key} v else v) second
    else if isList first && isList second then first ++ second
    else second;

  # A document with all that it extends. `documents` come before `builtin`, which a name
  # with the prefix "builtin:" asks for.
  resolve = { builtin, documents ? { } }: document:
    if !(document ? extends) then value null document
    else
      let
        plain = behind "builtin:" document.extends;
        known = if plain != null then builtin else builtin // documents;
        name = if plain != null then plain else document.extends;
        parent =
          if hasAttr name known then known.${name}
          else throw "mkimage: extends: ${document.extends}: expected one of ${toString (attrNames known)}";
      in
      value (resolve { inherit builtin documents; } parent) (removeAttrs document [ "extends" ]);
}
