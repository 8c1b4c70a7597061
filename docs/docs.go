// Package docs holds the documents that go onto media, for whoever has nothing else at hand.
package docs

import _ "embed"

// Recovery is recovery.md: two printed pages, in UTF-8, on what to do when a machine is lost
// or does not start. It is plain text for people who have never seen the rest.
//
//go:embed recovery.md
var Recovery []byte
