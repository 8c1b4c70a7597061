package bootrepair

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// Choices is what whoever has seen the findings decides. The zero value writes nothing
// that could be regretted.
type Choices struct {
	Only        []Kind // what is repaired; nil is all
	DropSession bool   // a hibernated session is given up
	Reformat    bool   // files of others on an ESP that is made anew are given up
	// Mount makes the ESP's files, of which some are put back, accessible by now: the
	// table of partitions is whole. Done is called when they are written.
	Mount func(ctx context.Context, esp gpt.Partition) (files durable.FS, done func() error, err error)
}

func (c Choices) wants(k Kind) bool { return c.Only == nil || slices.Contains(c.Only, k) }

// Report is what was done.
type Report struct {
	Done  []Finding `json:"done"`            // in order
	Left  []Finding `json:"left,omitempty"`  // that nobody chose, or that nothing can be done about
	Notes []string  `json:"notes,omitempty"` // what went wrong and does not keep the disk from starting
}

// Repair does what findings say, as far as it was chosen. What it refuses it refuses before
// the first write, with an error of class fault.Target. After an error, or a power cut,
// another Diagnose says what is left.
func Repair(ctx context.Context, f *Findings, c Choices, progress func(k Kind, done, total int64)) (*Report, error) {
	r := &repair{f: f, c: c, progress: progress, out: &Report{}}
	for _, x := range f.List {
		if x.Will == "" || !c.wants(x.Kind) {
			r.out.Left = append(r.out.Left, x)
		} else {
			r.do = append(r.do, x)
		}
	}
	if len(r.do) == 0 {
		return r.out, nil
	}
	if err := r.refuse(); err != nil {
		return r.out, named(f.system.Name, err)
	}
	if err := r.dropSession(); err != nil {
		return r.out, named(f.system.Name, err)
	}
	for _, step := range []struct {
		kind Kind
		run  func(context.Context) error
	}{{KindTable, r.table}, {KindESP, r.esp}, {KindFiles, r.files}, {KindFirmware, r.firmware}} {
		if !r.has(step.kind) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return r.out, err
		}
		if err := step.run(ctx); err != nil {
			return r.out, named(f.system.Name, err)
		}
		for _, x := range r.do {
			if x.Kind == step.kind {
				r.out.Done = append(r.out.Done, x)
			}
		}
	}
	return r.out, nil
}

// repair is one run of Repair.
type repair struct {
	f        *Findings
	c        Choices
	progress func(k Kind, done, total int64)
	do       []Finding
	out      *Report
}

func (r *repair) has(k Kind) bool {
	return slices.ContainsFunc(r.do, func(x Finding) bool { return x.Kind == k })
}

func (r *repair) report(k Kind) Progress {
	if r.progress == nil {
		return nil
	}
	return func(done, total int64) { r.progress(k, done, total) }
}

// refuse is all that keeps a repair from its first write.
func (r *repair) refuse() error {
	switch {
	case r.f.Session != nil && !r.c.DropSession:
		return fault.New(fault.Target, hintSession, "a session is hibernated in %s: nothing is written beside it", r.f.Session.File)
	case r.f.Has(KindTable) && !r.has(KindTable):
		return fault.New(fault.Target, "repair the table of partitions too", "its table of partitions is not whole")
	case r.has(KindFiles) && r.c.Mount == nil:
		return fault.New(fault.Usage, "", "ESP: files are to be put back, and nothing mounts it")
	case r.f.system.Pin == nil:
		return fault.New(fault.Target, "choose the disk by its serial number", "the disk was not pinned")
	}
	for _, x := range r.do {
		if len(x.Loses) > 0 && !r.c.Reformat {
			return fault.New(fault.Target, "copy what can be read; then choose to lose it", "ESP: has %d files of others, of which %s is one", len(x.Loses), x.Loses[0])
		}
	}
	return r.f.system.Pin()
}

// dropSession gives a session up, and what systemd has told the firmware of it.
func (r *repair) dropSession() error {
	if r.f.Session == nil {
		return nil
	}
	if err := r.f.Session.drop(r.f.system.Disk); err != nil {
		return err
	}
	if r.f.system.Vars == nil {
		return nil
	}
	if err := r.f.system.Vars.ClearHibernateLocation(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.out.Notes = append(r.out.Notes, "firmware: "+err.Error())
	}
	return nil
}

func (r *repair) table(context.Context) error { return RepairTable(r.f.system.Disk, r.f.table) }

func (r *repair) esp(ctx context.Context) error {
	return writeFresh(ctx, r.f.system.Disk, r.f.esp.Start, r.f.menu.files, r.f.params, r.report(KindESP))
}

func (r *repair) files(ctx context.Context) error {
	files, done, err := r.c.Mount(ctx, r.f.esp)
	if err != nil {
		return err
	}
	if err := writeFiles(ctx, files, r.f.missing, r.report(KindFiles)); err != nil {
		_ = done() // the first error says more
		return err
	}
	return done()
}

// firmware is a note where it fails, and nothing that was done: the disk starts without it.
func (r *repair) firmware(context.Context) error {
	if _, err := RepairFirmware(r.f.system.Vars, *r.f.firmware); err != nil {
		r.do = slices.DeleteFunc(r.do, func(x Finding) bool { return x.Kind == KindFirmware })
		r.out.Notes = append(r.out.Notes, "firmware: "+err.Error()+"; the disk starts without it where the firmware looks for the fallback loader")
	}
	return nil
}
