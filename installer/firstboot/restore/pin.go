package restore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// pinPath is the file that says what is being restored and how far it is.
const pinPath = firstboot.StateDir + "/restore.json"

const (
	pinVersion = 1
	maxPin     = 16 << 20 // bytes of the file
)

// The phases of a restore.
const (
	phaseRestoring = "restoring" // into the staging directory, or comparing it
	phasePlacing   = "placing"   // the staging directory is complete and on the disk
	phaseDone      = "done"
)

// Names at the top of the directory that is restored, before the short ID of
// the snapshot.
const (
	stagingPrefix = ".mkimage-restore-"
	besidePrefix  = ".restored-"
	keptPrefix    = ".kept-"
)

// pin is what a later run must know. It goes on with the same snapshot, though
// there may be newer ones: half of one and half of another is no home.
type pin struct {
	Version  int       `json:"version"`
	Image    string    `json:"image"` // of the Config that began it
	Host     string    `json:"host"`
	Path     string    `json:"path"`
	Snapshot string    `json:"snapshot"` // 64 hex digits
	Time     time.Time `json:"time"`     // of the snapshot
	Bytes    int64     `json:"bytes"`    // to restore
	Files    int64     `json:"files"`
	Phase    string    `json:"phase"`
	Staging  string    `json:"staging"`          // a name at the top of Path
	Staged   []uint64  `json:"staged,omitempty"` // inodes at the top of the staging directory when it was complete
}

func (p *pin) short() string     { return p.Snapshot[:8] }
func (p *pin) besideDir() string { return besidePrefix + p.short() }
func (p *pin) keptDir() string   { return keptPrefix + p.short() }

func (p *pin) check() error {
	switch {
	case p.Version != pinVersion:
		return fmt.Errorf("version %d, expected %d", p.Version, pinVersion)
	case !repository.IsID(p.Snapshot):
		return fmt.Errorf("snapshot %q, expected 64 hex digits", p.Snapshot)
	case p.Phase != phaseRestoring && p.Phase != phasePlacing && p.Phase != phaseDone:
		return fmt.Errorf("phase %q, expected %s, %s or %s", p.Phase, phaseRestoring, phasePlacing, phaseDone)
	case !strings.HasPrefix(p.Staging, stagingPrefix+p.short()) || strings.Contains(p.Staging, "/"):
		return fmt.Errorf("staging directory %q, expected %s…", p.Staging, stagingPrefix+p.short())
	}
	return nil
}

// parsePin reads the file of a pin.
func parsePin(text []byte) (*pin, error) {
	var p pin
	if len(text) > maxPin {
		return nil, fmt.Errorf("larger than %d bytes", maxPin)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return &p, nil
}

// readPin reads what an earlier run has written down. One of another host or
// path says nothing about this restore. One that cannot be read is kept aside:
// without it the restore begins anew, in a staging directory of its own.
func (r *run) readPin() error {
	r.pin = nil
	text, err := durable.Read(r.files, pinPath, maxPin+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := parsePin(text)
	if err != nil {
		aside := pinPath + ".damaged"
		r.Log(fmt.Sprintf("%s: %v; it is kept as %s, and the restore begins anew", pinPath, err, aside))
		if err := r.files.Rename(pinPath, aside); err != nil {
			return err
		}
		return durable.Sync(r.files, path.Dir(pinPath))
	}
	if p.Host == r.c.Restore.Host && p.Path == r.c.Restore.Path {
		r.pin = p
	}
	return nil
}

// finished reports whether the restore was done by this installation. One that
// another image has done says nothing: the disk may have been made anew since.
// If it was not, what is there is not pristine and stays. Nor does one say
// anything to who has chosen a snapshot, unless that lies beside already.
func (r *run) finished() bool {
	if r.pin == nil || r.pin.Phase != phaseDone {
		return false
	}
	if r.pin.Image != r.c.Image {
		r.pin = nil
		return false
	}
	if r.Snapshot != "" && (r.isOther() || r.beside() == nil) {
		r.pin = nil
		return false
	}
	return true
}

// turn writes down that a phase begins. All that was done before it is on the
// disk then, and before anything of it is done the pin is, too.
func (r *run) turn(phase string) error {
	if err := r.sync(); err != nil {
		return err
	}
	if err := r.cut("before " + phase); err != nil {
		return err
	}
	p := *r.pin
	p.Phase, p.Image = phase, r.c.Image
	text, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	if err := durable.Write(r.files, pinPath, append(text, '\n'), 0o600); err != nil {
		return err
	}
	r.pin = &p
	return r.cut("at " + phase)
}

// newStaging returns a name for a staging directory that is not there. One that
// is there and in no pin may have something in it that nobody knows of.
func (r *run) newStaging(id string) (string, error) {
	base := stagingPrefix + id[:8]
	for n := 1; ; n++ {
		name := base
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		err := unix.Fstatat(int(r.target.Fd()), name, &unix.Stat_t{}, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			return name, nil
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", path.Join(r.c.Restore.Path, name), err)
		}
	}
}
