package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/firstboot/restore"
)

// TestHome brings a home back with the machine's own secret, by the key of a key medium.
func TestHome(t *testing.T) {
	b := newBench(t)
	before, err := os.ReadFile(b.backup)
	must(t, err)
	b.expect(0, "", "home", "--dry-run", "--json")
	b.look(b.laptop, func(dir string) {
		if got := names(t, dir+"/home"); got != ".snapshots user" {
			t.Errorf("a dry run made %s", got)
		}
	})
	b.expect(int(fault.Usage), "nobody can be asked", "home")
	b.expect(0, "has the backup of 2026-11-20 18:30", "home", "--yes")
	b.look(b.laptop, func(dir string) {
		if got := text(t, filepath.Join(dir, "home/alice/notes")); got != "new notes\n" {
			t.Errorf("notes: %q", got)
		}
		if got := text(t, filepath.Join(dir, "home/user/file")); got != "a file of the user" {
			t.Errorf("what was there already: %q", got)
		}
	})
	b.firstBootDoesNothing()
	out := b.expect(0, "", "home", "--yes", "--json", "--snapshot", "2026-11-19")
	var made broughtBack
	must(t, json.Unmarshal([]byte(out), &made))
	if made.Snapshot != b.snapshots["old"] || len(made.Beside) != 1 || made.Beside[0].Dir != "/home/.restored-"+made.Snapshot[:8] {
		t.Errorf("an older one beside: %+v", made)
	}
	b.expect(0, "/home/restored-2026-11-21", "home", "--yes", "--snapshot", b.snapshots["other"][:8], "--path", "alice/notes")
	b.expect(0, "/home/alice/back", "home", "--yes", "--snapshot", "newest", "--path", "/home/alice/Documents", "--to", "/home/alice/back")
	b.look(b.laptop, func(dir string) {
		if got := text(t, filepath.Join(dir, "home/restored-2026-11-21/home/alice/notes")); got != "other notes\n" {
			t.Errorf("a path of another host's: %q", got)
		}
		info, err := os.Stat(filepath.Join(dir, "home/alice/back/home/alice/Documents/letter"))
		must(t, err)
		if info.Mode() != 0o640 {
			t.Errorf("mode %v", info.Mode())
		}
	})
	if after, err := os.ReadFile(b.backup); err != nil || string(after) != string(before) {
		t.Errorf("the backup disk was changed: %v", err)
	}
}

// firstBootDoesNothing runs what the first boot of the laptop does, with nothing that it
// could restore from.
func (b *bench) firstBootDoesNothing() {
	b.t.Helper()
	b.mount(b.laptop, false, func(dir string) {
		c, err := firstboot.ReadConfig(filepath.Join(dir, firstboot.ConfigPath))
		must(b.t, err)
		if err := restore.Run(b.t.Context(), &c, restore.System{Root: dir}); err != nil {
			b.t.Errorf("the first boot would restore it again: %v", err)
		}
	})
}

// TestHomeRefuses what it must not do, before it writes.
func TestHomeRefuses(t *testing.T) {
	b := newBench(t)
	b.expect(int(fault.Target), "--repository", "home", "--yes", "--repository", "LABEL=other")
	b.expect(int(fault.Target), "--system", "home", "--yes", "--system", "/dev/none")
	b.expect(int(firstboot.CodeNoSnapshot), "no snapshot not after", "home", "--yes", "--snapshot", "2020-01-01")
	b.expect(int(fault.Usage), "neither a date nor an ID", "home", "--yes", "--snapshot", "yesterday")
	b.expect(int(fault.Target), "is the top of", "home", "--yes", "--to", "/home")
	b.expect(int(fault.Input), "is not in snapshot", "home", "--yes", "--path", "alice/none")
	wrong := filepath.Join(b.dir, "password")
	must(t, os.WriteFile(wrong, []byte("wrong\n"), 0o600))
	b.expect(int(firstboot.CodePassword), "password", "home", "--yes", "--password-file", wrong)
	must(t, os.WriteFile(wrong, []byte(repoPassword+"\n"), 0o600))
	b.expect(0, "", "home", "--dry-run", "--password-file", wrong)
	b.media = ""
	b.expect(int(firstboot.CodeNoKey), "no key of age was found", "home", "--yes")
	b.backup = ""
	b.expect(int(fault.Target), "no repository of restic", "home", "--yes")
}
