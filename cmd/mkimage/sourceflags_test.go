package main

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/source"
)

const aCache = "cache:file:///cache#/nix/store/8imkijbx8qjiyl5bask7p14jr2idq8nr-nixos-system-fox"

func TestSourceFlagsOfKind(t *testing.T) {
	tests := []struct {
		source string
		in     sourceFlags
		want   string // flag of the error
	}{
		{"debian:trixie", sourceFlags{locked: true, refresh: true, mirror: "http://m", lock: "l", cacheDir: "c"}, ""},
		{"debian:trixie", sourceFlags{owner: "0:0"}, "--owner"},
		{"tar:root.tar", sourceFlags{owner: "0:0", lock: "l", cacheDir: "c"}, ""},
		{"tar:root.tar", sourceFlags{locked: true}, "--locked"},
		{"dir:root", sourceFlags{owner: "0:0"}, ""},
		{"dir:root", sourceFlags{locked: true}, "--locked"},
		{"dir:root", sourceFlags{refresh: true}, "--refresh"},
		{"dir:root", sourceFlags{mirror: "http://m"}, "--mirror"},
		{aCache, sourceFlags{offline: true, netrc: "n", unsigned: true, cacheDir: "c"}, ""},
		{aCache, sourceFlags{owner: "0:0"}, "--owner"},
		{aCache, sourceFlags{locked: true}, "--locked"},
		{"dir:root", sourceFlags{offline: true}, "--offline"},
		{"tar:root.tar", sourceFlags{netrc: "n"}, "--netrc"},
		{"debian:trixie", sourceFlags{unsigned: true}, "--no-check-sigs"},
		{"nix:.#fox", sourceFlags{signed: true, cacheDir: "c"}, ""},
		{"nix:.#fox", sourceFlags{unsigned: true}, "--no-check-sigs"},
		{"nix:.#fox", sourceFlags{offline: true}, "--offline"},
		{aCache, sourceFlags{signed: true}, "--check-sigs"},
	}
	for _, tt := range tests {
		spec, err := source.Parse(tt.source)
		if err != nil {
			t.Fatal(err)
		}
		err = tt.in.checkKind(spec)
		if tt.want == "" && err != nil {
			t.Errorf("%s, %+v: %v", tt.source, tt.in, err)
		}
		if tt.want != "" && (fault.ClassOf(err) != fault.Usage || !strings.HasPrefix(err.Error(), tt.want+": ")) {
			t.Errorf("%s, %+v: %v; want an error of class Usage about %s", tt.source, tt.in, err, tt.want)
		}
	}
}
