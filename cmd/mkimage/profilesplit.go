package main

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// payloadKey is what a key of a medium's payload has before it in --set where the medium's
// profile has a key of that name too.
const payloadKey = "payload"

// ofMedium reports whether a key is of a medium's own profile.
func ofMedium(key string) bool {
	switch key {
	case "kind", "payload", "layout", "extends", "installer", "rescue":
		return true
	}
	return strings.HasPrefix(key, "installer.") || strings.HasPrefix(key, "rescue.")
}

// splitMedium divides what the command line changes in a medium: the profile itself, its
// payload, and the payload's layout.
func splitMedium(all []strict.Setting) (own, payload, payloadLayout []strict.Setting) {
	for _, s := range all {
		key, named := strings.CutPrefix(s.Key, payloadKey+".")
		inLayout, ofLayout := strings.CutPrefix(key, layoutKey+".")
		switch {
		case named && ofLayout:
			payloadLayout = append(payloadLayout, strict.Setting{Key: inLayout, Value: s.Value, Below: payloadKey + "." + layoutKey})
		case named:
			payload = append(payload, strict.Setting{Key: key, Value: s.Value, Below: payloadKey})
		case ofMedium(s.Key):
			own = append(own, s)
		default:
			payload = append(payload, s)
		}
	}
	return own, payload, payloadLayout
}
