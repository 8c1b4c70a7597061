// Package source opens what the files of an image come from, and tells what is
// in it: its packages and its kernels.
//
// A source is always named, never guessed, and none is swapped for another:
//
//	debian:SUITE  installed by mmdebstrap from a Debian archive, kept in a cache
//	tar:FILE      an archive of a root file system
//	dir:PATH      a directory that holds one
//	cache:URL#STOREPATH
//	              a NixOS system, by its toplevel, out of binary caches
//	nix:STOREPATH the same out of the store of this host
//	nix:FLAKE#ATTRIBUTE
//	              the same, built by Nix
//
// Two builds of a Debian source from equal packages give equal bytes, whoever
// builds where and when: the archive that mmdebstrap writes is rewritten on its
// way into the cache, see archive.go. Which packages an archive offers changes
// with every day, so that equal packages need a lock file.
//
// What it does not do: it never changes a tree (package adjust does), runs
// nothing of a source but what installs Debian packages, and nothing of Nix but
// what builds a flake, and knows neither
// profiles nor layouts.
package source
