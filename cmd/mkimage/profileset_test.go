package main

import (
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

func TestSearchDirs(t *testing.T) {
	tests := []struct {
		name  string
		given []string
		env   map[string]string
		want  []string
	}{
		{"nothing set", nil, nil, []string{"profiles"}},
		{"home", nil, map[string]string{"HOME": "/home/u"}, []string{"profiles", "/home/u/.config/mkimage/profiles"}},
		{"config", nil, map[string]string{"HOME": "/home/u", "XDG_CONFIG_HOME": "/etc/u"}, []string{"profiles", "/etc/u/mkimage/profiles"}},
		{"relative config", nil, map[string]string{"HOME": "/home/u", "XDG_CONFIG_HOME": "u"}, []string{"profiles"}},
		{"flags first", []string{"b", "a"}, map[string]string{"HOME": "/h"}, []string{"b", "a", "profiles", "/h/.config/mkimage/profiles"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := searchDirs(test.given, "profiles", func(key string) string { return test.env[key] }); !slices.Equal(got, test.want) {
				t.Errorf("searchDirs(%q) = %q; want %q", test.given, got, test.want)
			}
		})
	}
}

func TestSplitSettings(t *testing.T) {
	f := profileFlags{sets: []string{"layout=x", "layout.esp.size=1GiB", "hostname=a", "layouts.y=z"}, source: "tar:a"}
	profile, layout, err := f.settings()
	if err != nil {
		t.Fatal(err)
	}
	if want := []strict.Setting{{Key: "layout", Value: "x"}, {Key: "hostname", Value: "a"}, {Key: "layouts.y", Value: "z"}, {Key: "source", Value: "tar:a", Flag: "--source"}}; !slices.Equal(profile, want) {
		t.Errorf("of the profile: %+v; want %+v", profile, want)
	}
	if want := []strict.Setting{{Key: "esp.size", Value: "1GiB", Below: "layout"}}; !slices.Equal(layout, want) {
		t.Errorf("of the layout: %+v; want %+v", layout, want)
	}
}
