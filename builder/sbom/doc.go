// Package sbom writes the bill of materials of an image: SPDX 2.3 in JSON.
//
// The document is made of what package source knows about installed packages, or
// of a NixOS about the objects of its store.
// Equal arguments give equal bytes: its time is the image's epoch, its namespace
// comes from the image's own identity, and everything is sorted.
//
// What it does not do: it lists no files, and it decides nothing about licences.
// A licence that a package declares is given as an SPDX expression where its
// names have one, else the names stand in a comment.
//
// The format is that of https://spdx.github.io/spdx-spec/v2.3/, and package URLs
// follow https://github.com/package-url/purl-spec.
package sbom
