package main

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// payloadKey is what a key of an installer's payload has before it in --set where
// the installer has a key of that name too.
const payloadKey = "payload"

// ofInstaller reports whether a key is of an installer's own profile.
func ofInstaller(key string) bool {
	switch key {
	case "kind", "payload", "layout", "extends", "installer", "rescue":
		return true
	}
	return strings.HasPrefix(key, "installer.") || strings.HasPrefix(key, "rescue.")
}

// splitInstaller divides what the command line changes in an installer: the
// profile itself, its payload, and the payload's layout.
func splitInstaller(all []strict.Setting) (own, payload, payloadLayout []strict.Setting) {
	for _, s := range all {
		key, named := strings.CutPrefix(s.Key, payloadKey+".")
		inLayout, ofLayout := strings.CutPrefix(key, layoutKey+".")
		switch {
		case named && ofLayout:
			payloadLayout = append(payloadLayout, strict.Setting{Key: inLayout, Value: s.Value, Below: payloadKey + "." + layoutKey})
		case named:
			payload = append(payload, strict.Setting{Key: key, Value: s.Value, Below: payloadKey})
		case ofInstaller(s.Key):
			own = append(own, s)
		default:
			payload = append(payload, s)
		}
	}
	return own, payload, payloadLayout
}
