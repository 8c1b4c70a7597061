# The disk of a system: what layout.nix says of the layout that a module is given, which
# is a name or a layout.
{ layout, swap }:
let
  documents = import ./extend.nix;
  document = if builtins.isString layout then { extends = layout; } else layout;
  resolved = documents.resolve { builtin = documents.layouts; } document;
in
import ./layout.nix { layout = resolved; inherit swap; } // { layout = resolved; }
