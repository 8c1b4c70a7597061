package bincache

import (
	"net/http"
	"strings"
	"testing"
)

// TestEscapedBase: the escapes of a cache's URL are a part of it, as in those of GitLab,
// with a slash at its end and without.
func TestEscapedBase(t *testing.T) {
	for _, end := range []string{"", "/", "?priority=3"} {
		var asked string
		s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
			asked = r.RequestURI
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/group/project")
			return false
		})
		if _, err := Open(t.Context(), s.URL+"/group%2Fproject"+end, quick()); err != nil || asked != "/group%2Fproject/nix-cache-info" {
			t.Errorf("%q: asked for %s, %v", end, asked, err)
		}
	}
}
