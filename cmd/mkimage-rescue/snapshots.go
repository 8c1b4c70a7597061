package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/rescue/backup"
)

// shownTime is how times of snapshots are shown, and can be typed.
const shownTime = "2006-01-02 15:04"

// snapshotJSON is a snapshot for programs.
type snapshotJSON struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Host  string    `json:"host"`
	Paths []string  `json:"paths"`
	Bytes int64     `json:"bytes,omitempty"` // at most, where the snapshot says so
	Files int64     `json:"files,omitempty"`
}

func toJSON(s repository.Snapshot) snapshotJSON {
	return snapshotJSON{s.ID, s.Time, s.Host, s.Paths, s.Bytes, s.Files}
}

// snapshotLine is a snapshot in a line for people.
func snapshotLine(s repository.Snapshot) string {
	amount := ""
	if s.Counted {
		amount = disks.SizeText(s.Bytes)
	}
	return fmt.Sprintf("%s  %s  %-12s %9s  %s", s.Short(), s.Time.Format(shownTime), repository.Printable(s.Host), amount, repository.Printable(strings.Join(s.Paths, " ")))
}

// owner is whose backups are meant: the host, and the path that comes back.
func (d *desk) owner() (host, path string) {
	path = "/home"
	if d.vault != nil && d.vault.Config.Restore != nil {
		return cmp.Or(d.vault.Config.Restore.Host, d.vault.Config.Hostname), cmp.Or(d.vault.Config.Restore.Path, path)
	}
	if d.m.Plan != nil {
		r := d.m.Plan.Profile.Restore
		return cmp.Or(r.Host, d.m.Plan.Profile.Hostname), cmp.Or(r.Path, path)
	}
	if d.system != nil {
		host = d.system.Hostname
	}
	return host, path
}

// mine returns the snapshots of a host that have something of a path, the newest first:
// where there is none, all.
func mine(list []repository.Snapshot, host, path string) []repository.Snapshot {
	own := slices.DeleteFunc(slices.Clone(list), func(s repository.Snapshot) bool { return host != "" && s.Host != host || !s.Touches(path) })
	if len(own) == 0 {
		return list
	}
	return own
}

// snapshotOfOwn is snapshot for what is put to its place in the system: the newest, or that
// of a date, is never one of another machine.
func (d *desk) snapshotOfOwn(ctx context.Context, all []repository.Snapshot, want string) (repository.Snapshot, error) {
	host, path := d.owner()
	s, err := d.snapshot(ctx, all, want)
	byID := want != "" && strings.HasPrefix(s.ID, strings.ToLower(want))
	if err != nil || byID || want == "" && d.p.interactive() || (host == "" || s.Host == host) && s.Touches(path) {
		return s, err
	}
	return repository.Snapshot{}, firstboot.NewProblem(firstboot.CodeNoSnapshot, "--snapshot ID takes one of another machine all the same",
		"snapshot %s: none of %s has %s; there is %s", cmp.Or(want, "newest"), cmp.Or(host, "this machine"), path, snapshotLine(s))
}

// snapshot returns the snapshot of a list that was asked for, or asks for one.
func (d *desk) snapshot(ctx context.Context, all []repository.Snapshot, want string) (repository.Snapshot, error) {
	host, path := d.owner()
	own := mine(all, host, path)
	if want == "" && d.p.interactive() && len(own) > 1 {
		var lines []string
		for _, s := range own {
			lines = append(lines, snapshotLine(s))
		}
		i, err := d.p.choose(ctx, "snapshot", lines)
		if err != nil {
			return repository.Snapshot{}, err
		}
		return own[i], nil
	}
	s, err := backup.Choose(own, want)
	if err != nil && len(own) < len(all) {
		if other, otherErr := backup.Choose(all, want); otherErr == nil && strings.HasPrefix(other.ID, strings.ToLower(want)) {
			return other, nil // of another host, by its ID
		}
	}
	return s, err
}
