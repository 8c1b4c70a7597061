package restore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

const restoredTop = ".snapshots README alice bob carol dave lost+found"

func TestFresh(t *testing.T) {
	m := newMachine(t, nil)
	var stages []string
	m.s.Progress = func(p Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
		if p.Done > p.Total || p.Total < 67<<20 {
			t.Errorf("progress %+v: expected at most all of more than 67 MiB", p)
		}
	}
	must(t, os.Chown(m.path(""), 5, 5), os.Chmod(m.path(""), 0o700))
	m.run(0)
	m.same("README", "alice", "bob", "carol")
	if got := m.top(); got != restoredTop {
		t.Errorf("%s; expected %s", got, restoredTop)
	}
	if got := strings.Join(stages, " "); got != "restore verify" {
		t.Errorf("stages %q", got)
	}
	var st unix.Stat_t
	must(t, unix.Stat(m.path("alice/sparse"), &st))
	if st.Blocks*512 > 1<<20 {
		t.Errorf("the sparse file has %d bytes on the disk", st.Blocks*512)
	}
	owner(t, m.path(""), 0o755, 0)
	owner(t, m.path("alice"), 0o710, 1000)
	owner(t, m.path("dave"), 0o700, 1003)
	owner(t, m.path("dave/.config/app"), 0o644, 1003)
	if got := m.text(m.path("dave/.bashrc")); got != skelText {
		t.Errorf("new home: %q", got)
	}
	snapshot := m.path(".snapshots/restored-" + m.backup.id)
	m.sameAt("alice", filepath.Join(snapshot, "alice"))
	if err := os.WriteFile(filepath.Join(snapshot, "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing to the snapshot: %v, expected %v", err, unix.EROFS)
	}
	state, err := firstboot.ReadState(durable.OS(m.s.Root))
	must(t, err)
	if step, _ := state.Last(firstboot.StepRestore); !state.Done(firstboot.StepRestore) || !strings.Contains(step.Message, m.backup.id) {
		t.Errorf("journal: %+v", step)
	}
	m.second(len(state.Steps()))
}

// second runs again, where neither the disk nor the password is there: nothing
// is asked of them, and nothing is changed.
func (m *machine) second(steps int) {
	m.t.Helper()
	must(m.t, os.RemoveAll(m.in("run/secrets")), os.RemoveAll(m.in("dev")))
	m.write(m.path("alice/new"), "of the user")
	m.run(0)
	if got := m.text(m.path("alice/new")); got != "of the user" {
		m.t.Errorf("the user's file is %q", got)
	}
	state, err := firstboot.ReadState(durable.OS(m.s.Root))
	must(m.t, err)
	if got := len(state.Steps()); got != steps {
		m.t.Errorf("%d steps in the journal, expected %d", got, steps)
	}
}

func owner(t *testing.T, name string, mode uint32, id uint32) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(name, &st))
	if st.Mode&0o7777 != mode || st.Uid != id || st.Gid != id {
		t.Errorf("%s: mode %o of %d:%d, expected %o of %d:%d", name, st.Mode&0o7777, st.Uid, st.Gid, mode, id, id)
	}
}

// A restore ends in its middle. What it left is not what a file's size says: zeros
// stand for data that a power cut has taken.
func TestResume(t *testing.T) {
	m := newMachine(t, nil)
	m.interrupt(StageRestore, 5<<20)
	if got := list(t, m.staging()); strings.Contains(list(t, m.backup.home), got) || !m.begun() {
		t.Fatalf("the restore was cut with this in place:\n%s", got)
	}
	must(t, filepath.WalkDir(m.staging(), func(name string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			zero(t, name)
		}
		return err
	}))
	// A newer snapshot has come, which is not what was begun.
	m.plug(m.makeDisk(func(repo string) {
		b := m.backup
		b.repo = repo
		_, err := b.restic("backup", "--host="+testHost, "--time=2036-01-01 00:00:00", "--exclude=bob", b.home)
		must(t, err)
	}))
	m.run(0)
	m.same("README", "alice", "bob", "carol")
	if got := m.top(); got != restoredTop {
		t.Errorf("%s; expected %s", got, restoredTop)
	}
}

// interrupt runs the machine until a stage has come so far, where its context ends.
func (m *machine) interrupt(stage string, bytes int64) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.tellAll(func(p Progress) {
		if p.Stage == stage && p.Done >= bytes {
			cancel()
		}
	})
	if err := Run(ctx, m.c, m.s); !errors.Is(err, context.Canceled) {
		m.t.Fatalf("Run: %v, expected %v", err, context.Canceled)
	}
	m.s.Progress = nil
}

// tellAll has each step of the next runs told, not one a second.
func (m *machine) tellAll(tell func(Progress)) {
	now := time.Now()
	m.s.Now = func() time.Time {
		now = now.Add(progressEvery)
		return now
	}
	m.s.Progress = tell
}

// begun tells whether a file with data is in the staging directory.
func (m *machine) begun() (found bool) {
	m.t.Helper()
	must(m.t, filepath.WalkDir(m.staging(), func(name string, e os.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && e.Type().IsRegular() && unix.Lstat(name, &st) == nil && st.Blocks > 0 {
			found = true
		}
		return err
	}))
	return found
}

// staging returns the one staging directory.
func (m *machine) staging() string {
	m.t.Helper()
	dirs, err := filepath.Glob(m.path(stagingPrefix + "*"))
	must(m.t, err)
	if len(dirs) != 1 {
		m.t.Fatalf("staging directories %q, expected one", dirs)
	}
	return dirs[0]
}

// zero makes a file one of zeros, of the same size and time.
func zero(t testing.TB, name string) {
	t.Helper()
	info, err := os.Lstat(name)
	must(t, err)
	must(t, os.WriteFile(name, make([]byte, info.Size()), 0o600), os.Chtimes(name, info.ModTime(), info.ModTime()))
}

var errCut = errors.New("cut")

// cutAt ends the next runs at a point.
func (m *machine) cutAt(at string, do func()) {
	m.s.cut = func(after string) error {
		if after != at {
			return nil
		}
		if do != nil {
			do()
		}
		return errCut
	}
}

func (m *machine) runCut() {
	m.t.Helper()
	if err := Run(context.Background(), m.c, m.s); !errors.Is(err, errCut) {
		m.t.Fatalf("Run: %v, expected %v", err, errCut)
	}
	m.s.cut = nil
}

// What the disk does not have as it was written is found, named and repaired.
func TestVerify(t *testing.T) {
	m := newMachine(t, nil)
	m.s.cut = func(after string) error {
		if after != "restored" {
			return nil
		}
		dir := m.staging()
		zero(t, filepath.Join(dir, "alice/big"))
		must(t, os.Remove(filepath.Join(dir, "alice/link")), os.Remove(filepath.Join(dir, "carol/notes")),
			os.Remove(filepath.Join(dir, "alice/not \xff\xfe UTF-8")), os.Chmod(filepath.Join(dir, "bob/notes"), 0o777),
			os.Truncate(filepath.Join(dir, "alice/closed/other name"), 7),
			os.Remove(filepath.Join(dir, "alice/fifo")), os.Mkdir(filepath.Join(dir, "alice/fifo"), 0o700))
		return nil
	}
	err := m.run(firstboot.CodeIncomplete)
	for _, want := range []string{"/alice/big", "/alice/a", "/alice/closed/other name", "7 entries", "and 2 more"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not name %s", err, want)
		}
	}
	if logs := strings.Join(m.logs, "\n"); !strings.Contains(logs, "entries have another owner, mode, time, extended attribute or hard link than in the snapshot, the first is /alice") {
		t.Errorf("log: %s: nothing of the mode", logs)
	}
	if got := m.top(); strings.Contains(got, "alice") {
		t.Errorf("%s: was placed", got)
	}
	m.s.cut = nil
	m.run(0)
	m.same("README", "alice", "bob", "carol")
}

func TestZeroedIsRepaired(t *testing.T) {
	m := newMachine(t, nil)
	m.cutAt("restored", func() { zero(t, filepath.Join(m.staging(), "alice/a")) })
	m.runCut()
	m.run(0)
	m.same("README", "alice", "bob", "carol")
}

// Who is asked to end does, and puts nothing to its place.
func TestInterrupted(t *testing.T) {
	for _, stage := range []string{StageRestore, StageVerify} {
		t.Run(stage, func(t *testing.T) {
			m := newMachine(t, nil)
			m.interrupt(stage, 0)
			if got := m.top(); got != filepath.Base(m.staging()) {
				t.Errorf("%s: is there, expected the staging directory alone", got)
			}
			m.run(0)
			m.same("README", "alice", "bob", "carol")
		})
	}
}

// A second run does not wait for the first.
func TestTwoRuns(t *testing.T) {
	m := newMachine(t, nil)
	f, err := os.Open(m.path(""))
	must(t, err)
	defer f.Close()
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	m.run(firstboot.CodeLocked)
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_UN))
	m.run(0)
}
