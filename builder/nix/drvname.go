package nix

import (
	"regexp"
	"strconv"
	"strings"
)

// SplitName splits the name of a store object into that of its package and its
// version, as builtins.parseDrvName does: the version begins after the first dash
// that something other than a letter follows. Without one it is empty. (DrvName in
// libstore/names.cc of Nix.)
func SplitName(name string) (pname, version string) {
	for i := range len(name) - 1 {
		if name[i] == '-' && !isLetter(name[i+1]) {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// output is the form of an output's name behind a version.
var output = regexp.MustCompile(`^(.+)-([a-z]+|lib32|lib64)$`)

// released are words behind a version that are a part of it.
var released = map[string]bool{"alpha": true, "beta": true, "git": true, "pre": true, "rc": true, "unstable": true}

// CutOutput takes the name of an output off a version: "2.40-66-bin" is the output
// "bin" of 2.40-66. Which words are outputs nothing in the name says; as
// nix store diff-closures does, it takes any of small letters for one, but not those
// of pre-releases.
func CutOutput(version string) (rest, name string) {
	match := output.FindStringSubmatch(version)
	if match == nil || released[match[2]] {
		return version, ""
	}
	return match[1], match[2]
}

// CompareVersions compares two versions as builtins.compareVersions does and returns
// -1, 0 or +1. It takes any text. (compareVersions in libstore/names.cc of Nix.)
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = component(a)
		y, b = component(b)
		switch {
		case before(x, y):
			return -1
		case before(y, x):
			return 1
		}
	}
	return 0
}

// component takes the first run of digits, or of neither digits nor separators.
func component(v string) (first, rest string) {
	v = strings.TrimLeft(v, ".-")
	end := 0
	if v != "" && isDigit(v[0]) {
		for end < len(v) && isDigit(v[end]) {
			end++
		}
	} else {
		for end < len(v) && !isDigit(v[end]) && v[end] != '.' && v[end] != '-' {
			end++
		}
	}
	return v[:end], v[end:]
}

// before reports whether component x is older than y: numbers by their value, "pre"
// before all, a word before a number, so that 2.3a is older than 2.3.1. What does
// not fit 32 bits is no number to Nix.
func before(x, y string) bool {
	n, errX := strconv.ParseInt(x, 10, 32)
	m, errY := strconv.ParseInt(y, 10, 32)
	switch {
	case errX == nil && errY == nil:
		return n < m
	case x == "" && errY == nil:
		return true
	case x == "pre" && y != "pre":
		return true
	case y == "pre":
		return false
	case errY == nil:
		return true
	case errX == nil:
		return false
	}
	return x < y
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
