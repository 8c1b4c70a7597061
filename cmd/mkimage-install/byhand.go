package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// byHand is an installation from a running Linux, onto what a person names.
type byHand struct {
	from, to, key, erase string
	dryRun, json         bool
}

func (b *byHand) check() error {
	for _, f := range []struct{ name, value string }{{"--from", b.from}, {"--to", b.to}, {"--key", b.key}} {
		if f.value == "" {
			return fault.New(fault.Usage, "mkimage-install --help shows an example", "%s is missing", f.name)
		}
	}
	return nil
}

// run installs, and tells when all of that is done.
func (b *byHand) run(ctx context.Context, stdout io.Writer) error {
	tell := newReport(stdout, b.json)
	if err := b.install(ctx, tell); err != nil {
		return err
	}
	tell.done()
	return nil
}

func (b *byHand) install(ctx context.Context, tell *report) (err error) {
	key, err := readKey(b.key)
	if err != nil {
		return err
	}
	from, err := rawdisk.Open(b.from, os.O_RDONLY)
	if err != nil {
		return fault.New(fault.Input, "", "%w", err)
	}
	defer from.Close()
	medium, err := installer.OpenMedium(from, from.Size(), verifier(key))
	if err != nil {
		return err
	}
	scanner := disks.Scanner{Loop: true}
	d, err := scanner.One(ctx, b.to)
	if err != nil {
		return err
	}
	if err := b.allow(d, medium); err != nil {
		return err
	}
	to, err := openTarget(scanner, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	check := installer.Step{ID: "medium", Title: "check the medium", Run: medium.CheckPayload}
	if err := installer.Run(ctx, []installer.Step{check}, tell.step); err != nil {
		return err
	}
	seed, err := newSeed()
	if err != nil {
		return err
	}
	fresh, err := installer.PlanFresh(ctx, medium, to, seed, time.Now())
	if err != nil {
		return err
	}
	tell.plan(fresh, d, b.dryRun)
	if b.dryRun {
		return nil
	}
	// Also after a failure: the kernel must not know partitions that are gone.
	return errors.Join(installer.Run(ctx, fresh.Steps(), tell.step), to.reread())
}

// allow judges the target by all rules but those of the medium, which are for
// the machine that is started from it.
func (b *byHand) allow(d disks.Disk, medium *installer.Medium) error {
	word := d.Serial
	if word == "" {
		word = filepath.Base(d.Path)
	}
	if b.erase != "" && b.erase != word {
		return fault.New(fault.Target, "", "%s: --erase says %q, but this is %q", d.Path, b.erase, word)
	}
	w := wantsOf(medium)
	w.Rules.Bus, w.Rules.Model, w.Rules.WWID, w.Rules.Layout, w.Rules.MinSize, w.Rules.MaxSize = nil, nil, nil, false, "", ""
	w.Rules.Serial = nil
	if d.Serial != "" && b.erase == d.Serial {
		w.Rules.Serial = []string{d.Serial}
	}
	w.Medium, w.Layout, w.Erase = disks.Medium{Known: true, DiskGUID: medium.Manifest.Plan.Disk.GUID.String()}, disks.Layout{}, b.erase != ""
	verdict := disks.Judge(d, w)
	if f, rejected := verdict.Rejected(); rejected {
		hint := ""
		if f.Rule == disks.RuleErasable {
			hint = "--erase " + word + " erases all that is on it"
		}
		return fault.New(fault.Target, hint, "%s: %s, against the rule %q", d.Path, f.Reason, f.Rule)
	}
	return nil
}

// readKey reads a public key from a file, or takes the word for the key.
func readKey(word string) (signature.Key, error) {
	text, err := os.ReadFile(word)
	if errors.Is(err, os.ErrNotExist) {
		text, err = []byte(word), nil
	}
	if err != nil {
		return signature.Key{}, fault.New(fault.Input, "", "%w", err)
	}
	return signature.ParsePublic(text)
}

// verifier verifies with a key.
func verifier(key signature.Key) installer.Verify {
	return func(message, sig []byte) error {
		_, err := signature.Verify(key, message, sig)
		return err
	}
}
