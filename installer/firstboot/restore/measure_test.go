package restore

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// withoutSummary is a restic whose snapshots do not tell what is in them, as those of
// restic before 0.17.
const withoutSummary = ` "$@" | sed 's/"summary":{[^}]*},\{0,1\}//g'`

// measured runs the machine with a restic that is changed by a pipe, and returns how
// often the snapshot was measured.
func (m *machine) measured(pipe string, want firstboot.Code) int {
	m.t.Helper()
	real := m.s.Restic
	log := filepath.Join(m.t.TempDir(), "log")
	m.s.Restic = m.script(`echo "$@" >>` + log + `
case "$*" in
*" snapshots "*) ` + real + pipe + `;;
*) exec ` + real + ` "$@";;
esac`)
	m.run(want)
	m.s.Restic = real
	text, err := os.ReadFile(log)
	must(m.t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "--dry-run") && !strings.Contains(line, "-vv") { // which is the proof
			n++
		}
	}
	return n
}

// backUpAgain adds the newest snapshot, made by our own restic: that of the others may
// be too old to tell what is in one.
func backUpAgain(t *testing.T) func(repo string) {
	return func(repo string) {
		b, err := testBackup()
		must(t, err)
		program, err := filepath.Abs(resticProgram)
		must(t, err)
		out, err := exec.Command(program, "--repo="+repo, "--password-file="+b.password, "--no-cache", "backup", "--host="+testHost, "--time=2036-01-02 03:04:05", b.home).CombinedOutput()
		if err != nil {
			t.Fatalf("restic backup: %v: %s", err, out)
		}
	}
}

// A snapshot is measured, which takes long, only where what it says of itself is not
// enough. The numbers are the same in the end.
func TestMeasured(t *testing.T) {
	var pins []*pin
	for _, tt := range []struct {
		name, pipe string
		size       int64
		want       firstboot.Code
		times      int
	}{
		{"large disk", ` "$@"`, 2 << 30, 0, 0},
		{"old snapshot", withoutSummary, 2 << 30, 0, 1},
		{"small disk", ` "$@"`, 300 << 20, firstboot.CodeSpace, 1},
		{"small disk, old snapshot", withoutSummary, 300 << 20, firstboot.CodeSpace, 1},
		// What it says may be more than there is: hard links and other paths.
		{"says too much", ` "$@" | sed 's/"total_bytes_processed":/&999/'`, 2 << 30, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, backUpAgain(t))
			if tt.size < 2<<30 {
				m.mount.Unmount(t)
				m.makeSystem(tt.size)
				m.plug(m.device)
			}
			if got := m.measured(tt.pipe, tt.want); got != tt.times {
				t.Errorf("measured %d times; want %d", got, tt.times)
			}
			if tt.want != 0 {
				return
			}
			m.same("README", "alice", "bob", "carol")
			r := &run{System: m.s, c: m.c, files: durable.OS(m.s.Root)}
			must(t, r.readPin())
			pins = append(pins, r.pin)
		})
	}
	for _, p := range pins {
		if p.Bytes != pins[0].Bytes || p.Files != pins[0].Files || p.Files == 0 {
			t.Errorf("%d bytes in %d files; want %d in %d", p.Bytes, p.Files, pins[0].Bytes, pins[0].Files)
		}
	}
}
