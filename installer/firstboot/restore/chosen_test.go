package restore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// ids returns the whole ID of the older snapshot, and of the newest.
func (m *machine) ids() (older, newest string) {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.backup.repo, "snapshots", m.backup.id+"*"))
	if err != nil || len(files) != 1 {
		m.t.Fatal(files, err)
	}
	out, err := m.backup.restic("snapshots", "--host="+testHost, "--json")
	must(m.t, err)
	list := strings.Split(out, `"id":"`)
	for _, text := range list[1:] {
		if id := text[:64]; id != filepath.Base(files[0]) {
			older = id
		}
	}
	return older, filepath.Base(files[0])
}

// A snapshot is chosen when another one was begun, was being put to its place, or
// was done.
func TestChosen(t *testing.T) {
	for _, at := range []string{"restored", "at placing", "at done"} {
		t.Run(strings.ReplaceAll(at, " ", "-"), func(t *testing.T) {
			m := newMachine(t, nil)
			older, newest := m.ids()
			m.s.Snapshot = older
			m.cutAt(at, nil)
			m.runCut()
			m.s.Snapshot = newest
			m.run(0)
			m.same("README", "alice", "bob", "carol")
			began, err := filepath.Glob(m.path(stagingPrefix + older[:8] + "*"))
			must(t, err)
			if want := at == "restored"; (len(began) == 1) != want {
				t.Errorf("staging directories of the other %q, expected one: %t", began, want)
			}
			if r := m.pinned(); r.Snapshot != newest || r.Phase != phaseDone {
				t.Errorf("pin of %s in phase %s, expected %s, done", r.Snapshot, r.Phase, newest)
			}
		})
	}
}

func (m *machine) pinned() *pin {
	m.t.Helper()
	text, err := os.ReadFile(m.in(pinPath))
	must(m.t, err)
	p, err := parsePin(text)
	must(m.t, err)
	return p
}

// What was restored once is restored again for who chooses it, but not where it
// lies beside already.
func TestChosenAgain(t *testing.T) {
	m := newMachine(t, nil)
	_, m.s.Snapshot = m.ids()
	m.run(0)
	// Of alice a fifo would be hers alone: there is no saying what it is.
	must(t, os.RemoveAll(m.path("alice")), os.RemoveAll(m.path("bob")))
	m.run(0)
	m.same("alice", "bob")
	must(t, os.RemoveAll(m.path("alice")))
	m.write(m.path("carol/notes"), "newer notes\n")
	for range 2 {
		err := m.run(firstboot.CodeNotPristine)
		var beside *NotPristine
		if !errors.As(err, &beside) || len(beside.Dirs) != 1 || strings.Join(beside.Dirs[0].Names, " ") != "carol" {
			t.Errorf("Run: %v, expected carol beside", err)
		}
	}
	m.sameAt("carol", m.path(besidePrefix+m.backup.id+"/carol"))
}

func TestChosenAbsent(t *testing.T) {
	m := newMachine(t, nil)
	m.s.Snapshot = strings.Repeat("ab", 32)
	err := m.run(firstboot.CodeNoSnapshot)
	if !strings.Contains(err.Error(), "no snapshot abababab") || m.top() != "" {
		t.Errorf("%v, with %q; expected that nothing is there", err, m.top())
	}
	older, _ := m.ids()
	m.s.Snapshot, m.c.Restore.Path = older, "/srv"
	err = m.run(firstboot.CodeNoSnapshot)
	if !strings.Contains(err.Error(), "has nothing of /srv, but of "+m.backup.home) {
		t.Errorf("%v, expected what it has", err)
	}
}
