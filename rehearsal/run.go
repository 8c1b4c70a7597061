package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/6FaNcY9/mkimage/builder/plan"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// Request is a rehearsal to make. What has no comment on its zero value must be set.
type Request struct {
	Subject
	Profile  string           // that was asked for
	Dir      string           // a folder that is empty, for images and what they are made of
	Machine  qemutests.Config // memory, processors and firmware of the machine
	DiskSize int64            // of the machine's disk, in bytes; 0, or less than a rehearsal needs, is what that has
	Lister   []string         // a static program for x86-64, with arguments: lists the folder that is named behind them, see package listtree
	Restic   []byte           // the program, static
	Version  string           // of mkimage
	Now      func() time.Time
	Began    func(title string) // is told of each step; may be nil
	Ended    func(Done)         // is told how it ended; may be nil
	Makers
}

// Makers make what is not this package's to make.
type Makers struct {
	// Stick builds the medium of a profile into a new file and returns its plan. The
	// profile is in a folder, and so is that of its payload.
	Stick func(ctx context.Context, profiles, name, output string) (*plan.Plan, error)
	// KeyMedium makes the image of a key medium: a key file, encrypted by the passphrase
	// that is the first line of another.
	KeyMedium func(ctx context.Context, key, passphrase, output string) error
}

// The parts of the time.
const (
	PartPrepare = "prepare the stand-in"
	PartRecover = "recover"
	PartStart   = "start from the disk"
	PartCompare = "compare"
)

// step is a part of a rehearsal.
type step struct {
	id, title, part string
	looks           bool // it compares: when it fails, the rehearsal goes on
	run             func(ctx context.Context) (note string, err error)
}

// run is a rehearsal that runs.
type run struct {
	*Request
	report     *Report
	key        *testKey
	secrets    []standIn
	passphrase string
	sample     *sample
	stickPlan  *plan.Plan
	vm         *qemutests.VM // that runs now; nil if none does
}

// steps are all steps of a rehearsal, in order.
func (r *run) steps() []step {
	return []step{
		{"secrets", "make a test key and stand-ins for the secrets", PartPrepare, false, r.makeSecrets},
		{"home", "make a sample home and its backup", PartPrepare, false, r.makeHome},
		{"stick", "build the stick", PartPrepare, false, r.makeStick},
		{"disks", "make key medium, backup disk and an empty disk", PartPrepare, false, r.makeDisks},
		{"rescue", "start the stick's rescue environment", PartRecover, false, r.startRescue},
		{"recover", "recover, with what a person types", PartRecover, false, r.recover},
		{"off", "turn the machine off", PartRecover, false, r.turnOff},
		{"unchanged", "stick, key medium and backup disk are unchanged", PartCompare, true, r.compareDisks},
		{"start", "start from the recovered disk, with nothing plugged in", PartStart, false, r.startRecovered},
		{"running", "every unit of the system runs", PartStart, true, r.checkRunning},
		{"compare", "the home is as it was", PartCompare, true, r.compareHome},
		{"placed", "key and secrets are where the profile wants them", PartCompare, true, r.compareSecrets},
		{"shut down", "shut the system down", PartStart, true, r.shutDown},
		{"promises", "the promises of the profile are kept", PartCompare, true, r.checkPromises},
	}
}

// Plan is what a rehearsal would do.
type Plan struct {
	Profile   string   `json:"profile"`
	Installer string   `json:"installer"`
	System    string   `json:"system"`
	Steps     []string `json:"steps"`
	Changed   []string `json:"changed"`
	Not       []string `json:"not_rehearsed"`
	DiskSize  int64    `json:"disk_size"` // bytes, of a file with a hole
	Room      int64    `json:"room"`      // bytes that are needed at least
}

// systemRoom is what a small system takes, as stick, as build and as what is recovered.
const systemRoom = 3 << 30

// Plan returns what Run would do. It makes nothing.
func (q *Request) Plan() Plan {
	r := q.start()
	p := Plan{Profile: q.Profile, Installer: q.Installer.Name, System: q.System.Name, Changed: r.report.Changed, Not: r.report.Not, DiskSize: q.size()}
	for _, s := range r.steps() {
		p.Steps = append(p.Steps, s.title)
	}
	// The home, its backup in a folder and on a disk, and what comes back.
	p.Room = systemRoom + 4*HomeBytes*int64(len(q.users()))
	return p
}

func (q *Request) size() int64 { return max(q.DiskSize, minDisk) }

// start returns a rehearsal of which nothing was done yet.
func (q *Request) start() *run {
	r := &run{Request: q, passphrase: testPassphrase}
	_, changed := q.systemProfile(&testKey{}, nil)
	_, more := q.installerProfile()
	r.report = &Report{
		Version: ReportVersion, Profile: q.Profile, Installer: q.Installer.Name, System: q.System.Name, Host: q.System.Hostname,
		Steps: []Done{}, Split: []Part{}, Disks: []Unchanged{}, Secrets: []Placed{}, Promises: []Promise{}, Screens: []Screen{},
		Changed: append(changed, more...), Not: q.notRehearsed(), Versions: Versions{Mkimage: q.Version},
	}
	return r
}

// testPassphrase is that of the test key. It is no secret: the key opens stand-ins.
const testPassphrase = "a passphrase for rehearsals"

// Run rehearses. What was found is in the report, also with an error, which is that of the
// first step that failed.
func (q *Request) Run(ctx context.Context) (*Report, error) {
	r := q.start()
	r.report.Began = q.Now().UTC().Truncate(time.Second)
	began := q.Now()
	first := r.all(ctx, r.steps())
	if r.vm != nil {
		first = errors.Join(first, r.vm.Close())
	}
	r.report.conclude(q.Now().Sub(began))
	return r.report, first
}

// all makes the steps, and returns the error of the first that failed.
func (r *run) all(ctx context.Context, steps []step) (first error) {
	stopped := false
	for _, s := range steps {
		done := Done{ID: s.id, Title: s.title, Part: s.part, Result: ResultNot}
		if !stopped {
			if r.Began != nil {
				r.Began(s.title)
			}
			err := r.one(ctx, s, &done)
			if err != nil && first == nil {
				first = fmt.Errorf("%s: %w", s.title, err)
			}
			stopped = err != nil && !s.looks || ctx.Err() != nil
		}
		r.report.Steps = append(r.report.Steps, done)
		if r.Ended != nil && done.Result != ResultNot {
			r.Ended(done)
		}
	}
	return first
}

// one makes a step.
func (r *run) one(ctx context.Context, s step, done *Done) error {
	began := r.Now()
	note, err := s.run(ctx)
	done.Result, done.Note, done.Seconds = ResultOK, note, round(r.Now().Sub(began))
	if err == nil {
		return nil
	}
	done.Result, done.Error = ResultFailed, err.Error()
	if f := (*qemutests.Failure)(nil); errors.As(err, &f) {
		done.Error = f.Err.Error() // the console is in the report besides
		r.report.Console = f.Serial
	}
	return err
}

// file is the path of a file of the rehearsal.
func (r *run) file(name string) string { return filepath.Join(r.Dir, name) }

// The files of the disks, which stay in the folder.
const (
	stickFile  = "stick.img"
	keyFile    = "key-medium.img"
	backupFile = "backup.img"
	targetFile = "laptop.img"
	listerFile = "lister.img"
)
