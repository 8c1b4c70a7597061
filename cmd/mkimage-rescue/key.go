package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/rescue/mounted"
	"github.com/6FaNcY9/mkimage/installer/rescue/unlock"
)

// bringKey is what the command was told.
type bringKey struct {
	source
	consent
	from     string
	toMedium string
	erase    string
}

func newKey(p *program) *cobra.Command {
	var k bringKey
	cmd := &cobra.Command{
		Use:   "key [--from FILE] [--to-medium DISK]",
		Short: "bring back the age key",
		Long: `mkimage-rescue key puts the age key of the machine's secrets to where the
system has it, as its first boot does: root's, of mode 0600. One that is there
already and differs is kept beside it. A key that opens none of the secrets is
refused.

The key is looked for on key media, encrypted on the ESP, and in the system; a
passphrase is asked for. Where there is none, the key itself can be typed, or
--from names its file. Nothing of it is shown, and it gets into no file but
its own.

With --to-medium the key goes to a key medium instead: a stick, which is
erased, and on which it is encrypted with a passphrase that is typed twice. A
stick that is not empty must be named once more, by its serial number.`,
		Example: `  mkimage-rescue key
  mkimage-rescue key --from /mnt/age-key.txt.age
  mkimage-rescue key --to-medium /dev/sdc`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	k.addSystem(flags)
	k.consent.addTo(flags)
	flags.StringVar(&k.from, "from", "", "the `file` of the key, encrypted with a passphrase or not")
	flags.StringVar(&k.toMedium, "to-medium", "", "make a key medium of this whole `disk`")
	flags.StringVar(&k.erase, "erase", "", "erase a disk that is not empty, by its `serial` number, or its name if it has none")
	return p.writing(cmd, func(ctx context.Context, _ []string) error { return k.run(ctx, p) }, &k.dryRun)
}

// broughtKey is what the command has done, for programs.
type broughtKey struct {
	From       string   `json:"from"` // where the key was found
	Recipients []string `json:"recipients"`
	To         string   `json:"to"`                // path in the system, or the disk
	Outcome    string   `json:"outcome,omitempty"` // "kept", "installed", "replaced"
	DryRun     bool     `json:"dry_run,omitempty"`
}

func (k *bringKey) run(ctx context.Context, p *program) error {
	d, err := p.deskOf(ctx, &k.source)
	if err != nil {
		return err
	}
	if k.toMedium != "" {
		err = k.allow(ctx, d) // before a passphrase is asked for
	} else {
		err = d.needSystem()
	}
	if err != nil {
		return err
	}
	found, err := k.find(ctx, d)
	if err != nil {
		return err
	}
	made := &broughtKey{From: found.Where, Recipients: found.Key.Recipients(), To: d.keyPath()}
	p.note("found %v on %s", found.Key, found.Where)
	if k.toMedium != "" {
		return k.makeMedium(ctx, d, found, made)
	}
	ok, err := p.agree(ctx, k.consent, "write to the system "+systemLine(d.system), fmt.Sprintf("put the key of %s to %s", found.Where, made.To))
	if err != nil {
		return err
	}
	if made.DryRun = !ok; ok {
		if err := k.install(ctx, d, found, made); err != nil {
			return err
		}
	}
	return p.tellKey(made)
}

// find looks for the key.
func (k *bringKey) find(ctx context.Context, d *desk) (*unlock.Found, error) {
	if err := d.findVault(ctx); err != nil {
		return nil, err
	}
	recipients := d.vault.Recipients()
	if len(recipients) == 0 && k.toMedium == "" {
		return nil, firstboot.NewProblem(firstboot.CodeNotYet, "nothing is to be brought", "%s: neither the system nor the stick has secrets that a key opens", d.system.ID)
	}
	s := d.search(ctx)
	s.Typed = true
	if k.from != "" {
		s.Typed = false
		s.Places = []unlock.Place{{Name: k.from, Read: func() ([]byte, error) { return readKeyFile(k.from) }}}
	}
	return s.Key(ctx)
}

// readKeyFile reads the file of a key.
func readKeyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	return text, nil
}

// install puts the key into the system.
func (k *bringKey) install(ctx context.Context, d *desk, found *unlock.Found, made *broughtKey) (err error) {
	if err := d.unmountSystem(); err != nil {
		return err
	}
	sys, err := d.m.Mount(ctx, withoutESP(d.system), false, func(line string) { d.p.note("%s", line) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.m.Close()) }()
	return d.installKey(sys, found, made)
}

// installKey puts the key into a system that is mounted, and notes it in the journal of
// the first boot.
func (d *desk) installKey(sys *mounted.System, found *unlock.Found, made *broughtKey) error {
	own, err := unlock.FindVault(sys.Dir, "")
	if err != nil {
		return err
	}
	if own == nil {
		own = d.vault // a system that says nothing is given what the stick says
	}
	if own == nil || own.Config.Age == nil {
		return firstboot.NewProblem(firstboot.CodeNotYet, "nothing is to be brought", "%s: has no secrets that a key opens", made.To)
	}
	if err := agekey.Check(found.Key, own.Recipients()); err != nil {
		return err
	}
	files := durable.OS(sys.Dir)
	outcome, err := agekey.Install(files, own.Config.Age.Path, found.Key, time.Now())
	if err != nil {
		return err
	}
	made.To, made.Outcome = own.Config.Age.Path, outcome.String()
	state, err := firstboot.ReadState(files)
	if err != nil {
		return err
	}
	if last, ok := state.Last(firstboot.StepKey); ok && last.Result == firstboot.Done && last.Image == own.Config.Image {
		return nil
	}
	return state.Record(files, firstboot.Step{
		Name: firstboot.StepKey, Result: firstboot.Done, At: time.Now().UTC(), Image: own.Config.Image,
		Message: fmt.Sprintf("age key from %s: %s as %s, by the rescue", found.Where, outcome, own.Config.Age.Path),
	})
}

// tellKey says what became of the key.
func (p *program) tellKey(made *broughtKey) error {
	if p.json {
		return p.encode(made)
	}
	if !made.DryRun {
		fmt.Fprintf(p.stdout, "age key of %s: %s as %s\n", made.From, made.Outcome, made.To)
	}
	return nil
}
