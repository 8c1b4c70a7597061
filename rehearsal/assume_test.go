package rehearsal

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/profiles"
)

// TestAssume: a profile that restores nothing, as those that are built in, can be
// rehearsed, and is told; one that restores is not changed.
func TestAssume(t *testing.T) {
	s := fox()
	s.Assume()
	if diff := cmp.Diff(fox().System, s.System); diff != "" || s.assumed {
		t.Errorf("a profile with [restore] (-before +after):\n%s", diff)
	}

	dir := t.TempDir()
	load := loader(t, dir)
	s = &Subject{Installer: load("bandit-installer"), System: load("bandit-full"), SystemRef: "builtin:bandit-full"}
	_, before := s.systemProfile(&testKey{}, nil)
	s.Assume()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	key, err := newTestKey()
	if err != nil {
		t.Fatal(err)
	}
	made, err := makeSecrets(&s.System, dir, key.recipient, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	text, changed := s.systemProfile(key, made)
	if len(changed) != len(before) { // the backup, and not that its disk has a label
		t.Errorf("changed %q; without a backup %q", changed, before)
	}
	write(t, filepath.Join(dir, "bandit-full-rehearsal.toml"), text)
	p := load("bandit-full-rehearsal")
	want := profiles.Restore{Disk: "LABEL=rehearsal", Repository: "restic", Password: made[0].secret.Name}
	if diff := cmp.Diff(want, p.Restore); diff != "" || len(made) != 1 {
		t.Errorf("%d secrets; restores (-want +got):\n%s", len(made), diff)
	}
	if set, err := secrets.Check(&p); err != nil || len(set.Recipients) != 1 {
		t.Errorf("its secrets: %v", err)
	}
}
