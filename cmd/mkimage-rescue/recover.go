package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// Parts of a recovery that can be left out.
const (
	partKey  = "key"
	partHome = "home"
)

// recovery is what the command was told.
type recovery struct {
	source
	to, erase   string
	medium, key string
	snapshot    string
	without     []string
	dryRun      bool
}

func newRecover(p *program) *cobra.Command {
	var r recovery
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "bring back everything: install, key, home",
		Long: `mkimage-rescue recover brings a machine back on an empty disk: it installs the
system of the installer medium, puts the age key into it, and fills its home
from the newest snapshot of the backup. Nothing restarts in between.

Before anything is erased, the key is found, the repository opened with the
machine's secret, and the snapshot chosen; what is missing ends it with the
disk untouched. The disk is the one that the rules of the medium allow, as in
an installation: with none or several of them nothing is done. Then "erase"
and the serial number of the disk are to be typed, or --erase has the serial
number.

It can be cut at any instant and run again. A disk that this medium has
installed already is not erased: what is missing of the key and the home is
brought, and data that is there stays. The first boot does neither once more.`,
		Example: `  mkimage-rescue recover
  mkimage-rescue recover --dry-run
  mkimage-rescue recover --without home --erase S3Z9NB0K123456`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	r.addSource(flags)
	flags.StringVar(&r.to, "to", "", "the `disk`, which the rules of the medium must allow all the same")
	flags.StringVar(&r.erase, "erase", "", "agree to erase the disk, by its `serial` number, or its name if it has none")
	flags.StringVar(&r.medium, "medium", "", "the `disk` of the installer medium, where there are several")
	flags.StringVar(&r.key, "key", "", "the public key of who signed the medium: a `file`; that of the stick by default")
	flags.StringVar(&r.snapshot, "snapshot", "newest", "`which` snapshot: newest, a date, or the first digits of an ID")
	flags.StringSliceVar(&r.without, "without", nil, "leave out a `part`: key, home")
	flags.BoolVarP(&r.dryRun, "dry-run", "n", false, "say what would be done, and do nothing")
	return p.writing(cmd, func(ctx context.Context, _ []string) error { return r.run(ctx, p) }, &r.dryRun)
}

// recovered is what the command has done, for programs.
type recovered struct {
	Disk      string       `json:"disk"`
	Profile   string       `json:"profile"`
	Installed bool         `json:"installed"` // by this run; else it was before
	Key       *broughtKey  `json:"key,omitempty"`
	Home      *broughtBack `json:"home,omitempty"`
	Steps     []doneStep   `json:"steps"`
	DryRun    bool         `json:"dry_run,omitempty"`
}

// doneStep is a step, and how long it took.
type doneStep struct {
	Title   string  `json:"title"`
	Seconds float64 `json:"seconds"`
}

// rescuing is a recovery that runs.
type rescuing struct {
	*recovery
	*desk
	stick    *installer.Medium
	stickAt  string // path of its disk
	target   disks.Disk
	has      bool // the medium has installed the target already
	snapshot repository.Snapshot
	made     recovered
}

func (r *recovery) run(ctx context.Context, p *program) error {
	for _, part := range r.without {
		if part != partKey && part != partHome {
			return fault.New(fault.Usage, "--without key, or --without home", "--without %s: is no part", part)
		}
	}
	d, err := p.deskOf(ctx, &r.source)
	if err != nil {
		return err
	}
	d.system = nil // there may be one on the disk, which has nothing to say
	j := &rescuing{recovery: r, desk: d}
	if err := j.openMedium(); err != nil {
		return err
	}
	if err := j.choose(); err != nil {
		return err
	}
	if err := j.prepare(ctx); err != nil {
		return err
	}
	j.made.Disk, j.made.Profile, j.made.DryRun = j.target.Path, j.stick.Manifest.Plan.Profile.Name, r.dryRun
	j.tellPlan()
	if r.dryRun {
		return j.tell()
	}
	if err := j.agreed(ctx); err != nil {
		return err
	}
	if err := j.do(ctx); err != nil {
		return err
	}
	if err := j.tell(); err != nil {
		return err
	}
	return j.restart(ctx)
}

// leaves reports whether a part is left out.
func (r *recovery) leaves(part string) bool { return slices.Contains(r.without, part) }

// prepare finds all that is needed, before anything is erased.
func (j *rescuing) prepare(ctx context.Context) error {
	if err := j.findVault(ctx); err != nil {
		return err
	}
	if !j.leaves(partKey) && len(j.vault.Recipients()) > 0 {
		s := j.search(ctx)
		s.Typed = true
		var err error
		if j.desk.key, err = s.Key(ctx); err != nil {
			return err
		}
		j.p.note("found %v on %s", j.desk.key.Key, j.desk.key.Where)
	}
	if j.leaves(partHome) {
		return nil
	}
	if err := j.open(ctx, "recover"); err != nil {
		return err
	}
	all, err := j.Snapshots(ctx, repository.Filter{})
	if err != nil {
		return err
	}
	j.snapshot, err = j.desk.snapshotOfOwn(ctx, all, j.recovery.snapshot)
	return err
}

// tellPlan says what is about to be done.
func (j *rescuing) tellPlan() {
	if j.has {
		j.p.note("this medium has installed %s already: it is not erased", j.target)
	} else {
		j.p.note("will erase %s", j.target)
		j.p.note("which has %s", j.target.Summary())
		j.p.note("will install %s of %s on it", j.made.Profile, j.stickAt)
	}
	if j.desk.key != nil {
		j.p.note("will put the key of %s into it", j.desk.key.Where)
	}
	if j.desk.key == nil {
		j.p.note("will put no age key into it: %s", j.withoutKey())
	}
	if j.Opened != nil {
		j.p.note("will fill its home from snapshot %s of %s of %s", j.snapshot.Short(), j.snapshot.Time.Format(shownTime), repository.Printable(j.snapshot.Host))
	}
}

// withoutKey says why no key is brought.
func (j *rescuing) withoutKey() string {
	if j.leaves(partKey) {
		return "--without key says so"
	}
	return "the stick has no secrets that a key opens; a system that has some gets its key by mkimage-rescue key, after this"
}

// agreed returns once somebody has agreed by the name of the disk.
func (j *rescuing) agreed(ctx context.Context) error {
	word := flash.Word(j.target)
	switch {
	case j.erase == word, j.has && j.to == j.target.Path:
		return nil
	case j.erase != "":
		return fault.New(fault.Target, "--erase "+word, "%s: --erase says %q, but this is %q", j.target.Path, j.erase, word)
	case j.has && !j.p.interactive():
		return fault.New(fault.Usage, "--to "+j.target.Path, "nobody can be asked whether to write to %s: standard input is no terminal", j.target)
	case j.has:
		_, err := j.p.agree(ctx, consent{}, "write to "+j.target.String())
		return err
	case !j.p.interactive():
		return fault.New(fault.Usage, "--erase "+word, "nobody can be asked whether to erase %s: standard input is no terminal", j.target)
	}
	answer, err := j.p.ask(ctx, fmt.Sprintf("All that is on %s is erased. To agree, type this and Enter: erase %s\n> ", j.target.Path, word))
	if err != nil {
		return err
	}
	if strings.Join(strings.Fields(answer), " ") != "erase "+word {
		return errDeclined
	}
	return nil
}

// step runs a step and notes how long it took.
func (j *rescuing) step(title string, do func() error) error {
	began := time.Now()
	if err := do(); err != nil {
		return err
	}
	j.made.Steps = append(j.made.Steps, doneStep{title, time.Since(began).Seconds()})
	return nil
}

// tell says what was done.
func (j *rescuing) tell() error {
	p := j.p
	if p.json {
		return p.encode(j.made)
	}
	if j.made.DryRun {
		return nil
	}
	for _, s := range j.made.Steps {
		fmt.Fprintf(p.stdout, "%-20s %8.1f s\n", s.Title, s.Seconds)
	}
	fmt.Fprintf(p.stdout, "%s is on %s.\n", j.made.Profile, j.target)
	if j.made.Key == nil {
		fmt.Fprintln(p.stdout, "No age key was put into it. If it has secrets that one opens: mkimage-rescue key")
	} else if err := p.tellKey(j.made.Key); err != nil {
		return err
	}
	if j.leaves(partHome) {
		fmt.Fprintln(p.stdout, "Its home was left out. To bring it back: mkimage-rescue home")
	}
	if j.made.Home != nil {
		return p.tellHome(j.made.Home)
	}
	return nil
}

// restart offers to restart the machine, where this is the rescue environment.
func (j *rescuing) restart(ctx context.Context) error {
	if !isHere() || len(j.images) > 0 || !j.p.interactive() {
		return nil
	}
	answer, err := j.p.ask(ctx, "Restart the machine now? [y/N] ")
	if a := strings.ToLower(answer); err != nil || a != "y" && a != "yes" {
		return err
	}
	if err := j.m.Close(); err != nil {
		return err
	}
	return machinePower(j.p.stdin, j.p.stdout).end("reboot", unix.LINUX_REBOOT_CMD_RESTART)
}

// publicKey is the file of the key that the medium is verified with.
func (j *rescuing) publicKey() string {
	if j.recovery.key != "" {
		return j.recovery.key
	}
	return filepath.Join("/", j.p.root, config.InstallKey)
}
