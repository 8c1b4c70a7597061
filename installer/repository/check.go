package repository

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Checked is what restic check has found.
type Checked struct {
	Errors      int      `json:"errors"`
	First       string   `json:"first,omitempty"` // of the errors, as restic says it
	Packs       []string `json:"packs"`           // IDs of files of data that are damaged, the first maxPacks
	RepairIndex bool     `json:"repair_index"`    // restic repair index is of use
	Prune       bool     `json:"prune"`           // restic prune is of use
	Hint        string   `json:"hint,omitempty"`  // what to type on the machine that backs up
}

// maxPacks bounds what a report names.
const maxPacks = 100

// Check has restic check the repository, and read a sample of its data: a percentage
// from 1 to 100. What it finds is no error, unless it could not be looked for.
func (repo *Repository) Check(ctx context.Context, percent int) (Checked, error) {
	said := &complaints{}
	var sum *line
	err := repo.check(ctx, said, summary(func(l line) { sum = &l }), "--read-data-subset="+strconv.Itoa(percent)+"%")
	switch code := firstboot.CodeOf(err); {
	case err == nil:
	case ctx.Err() != nil, code == firstboot.CodeNoRepository, code == firstboot.CodeLocked, code == firstboot.CodePassword:
		return Checked{}, err
	case said.count == 0 && (sum == nil || sum.NumErrors == 0): // it did not come to that
		return Checked{}, err
	}
	c := Checked{Packs: []string{}, Errors: said.count, First: said.first}
	if sum != nil {
		for _, id := range sum.BrokenPacks {
			if IsID(id) && len(c.Packs) < maxPacks {
				c.Packs = append(c.Packs, id)
			}
		}
		c.RepairIndex, c.Prune = sum.RepairIndex, sum.Prune
		if sum.NumErrors > 0 { // of what it complains of, some is advice
			c.Errors = sum.NumErrors
		}
	}
	c.Hint = c.hint()
	return c, nil
}

// summary returns a writer for what restic prints that calls a function with the summary.
func summary(call func(line)) io.Writer {
	return &lineWriter{call: func(text []byte) {
		if l, ok := parseLine(text); ok && l.MessageType == "summary" {
			call(l)
		}
	}}
}

// Sample has restic compare the repository's list of packs with what is there, read
// all that says where data is, and then about so many bytes of data that chance picks.
// Damage is an error, CodeDamaged or CodeDisk.
func (repo *Repository) Sample(ctx context.Context, bytes int64) error {
	said := &complaints{}
	err := repo.check(ctx, said, io.Discard, fmt.Sprintf("--read-data-subset=%dK", (bytes+1023)>>10))
	if err == nil || ctx.Err() != nil || said.count == 0 {
		return err
	}
	code := codeOf(said.first)
	if code != firstboot.CodeDisk { // whatever else check complains of
		code = firstboot.CodeDamaged
	}
	return firstboot.NewProblem(code, "restic check --read-data tells what is damaged, restic repair how to leave it out of the backup",
		"repository %s: is damaged: %s", repo.Names.Repository, said.first)
}

// hint is what restic itself advises.
func (c *Checked) hint() string {
	switch {
	case len(c.Packs) > 0:
		hint := "copy the repository first; then restic repair packs"
		for _, id := range c.Packs {
			hint += " " + id
		}
		return hint + ", restic repair snapshots --forget, and a new backup"
	case c.Errors > 0 && c.RepairIndex:
		return "copy the repository first; then restic repair index, and check again"
	case c.Errors > 0:
		return "copy the repository first; then a new backup of the same files puts back what is missing"
	case c.RepairIndex:
		return "restic repair index"
	case c.Prune:
		return "restic prune"
	}
	return ""
}
