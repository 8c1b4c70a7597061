package source

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestMode(t *testing.T) {
	whole := "alice:100000:65536\n"
	tests := []struct {
		name    string
		uid     int
		missing []string // programs and files
		subuid  string
		unshare error
		want    string
		err     string
	}{
		{"root", 0, []string{"newuidmap", "/etc/subuid"}, "", errors.New("no"), "root", ""},
		{"user", 1000, nil, whole, nil, "unshare", ""},
		{"user by number", 1000, nil, "bob:1:9\n1000:100000:65536", nil, "unshare", ""},
		{"no mmdebstrap", 0, []string{"mmdebstrap"}, whole, nil, "", "debian source: needs the program mmdebstrap, which is not there"},
		{"no apt", 0, []string{"apt-get"}, whole, nil, "", "debian source: needs the program apt-get, which is not there"},
		{"no keys", 0, []string{keyring}, whole, nil, "", "debian source: needs the keys in " + keyring + ", which is not there"},
		{"no newgidmap", 1000, []string{"newgidmap"}, whole, nil, "", "debian source: an ordinary user needs the program newgidmap, which is not there"},
		{"no file", 1000, []string{"/etc/subgid"}, whole, nil, "", "debian source: /etc/subgid: user alice has 0 ids, needs 65536"},
		{"not enough", 1000, nil, "alice:1:65535\nalice:x:y\nalice:9\nalice:70000:2\n", nil, "", "debian source: /etc/subuid: user alice has 65535 ids, needs 65536"},
		{"others only", 1000, nil, "alice2:1:65536\n", nil, "", "debian source: /etc/subuid: user alice has 0 ids, needs 65536"},
		{"no namespaces", 1000, nil, whole, errors.New("not permitted"), "", "debian source: an ordinary user needs user namespaces, which the kernel refuses: not permitted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			there := func(name string) bool { return !slices.Contains(tt.missing, name) }
			h := host{
				uid:  tt.uid,
				user: func() (string, error) { return "alice", nil },
				have: there, exists: there,
				readFile: func(name string) ([]byte, error) {
					if !there(name) {
						return nil, fs.ErrNotExist
					}
					return []byte(tt.subuid), nil
				},
				unshare: func(context.Context) error { return tt.unshare },
			}
			got, err := h.mode(t.Context())
			if errorText(err) != tt.err || err == nil && got != tt.want {
				t.Errorf("mode = %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
			if err != nil && (fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "") {
				t.Errorf("class %d, hint %q; want class %d and a hint", fault.ClassOf(err), fault.HintOf(err), fault.Input)
			}
		})
	}
}
