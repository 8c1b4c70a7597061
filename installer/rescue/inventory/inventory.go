package inventory

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// Inventory is what there is. It is pure data.
type Inventory struct {
	Host     *Host        `json:"host,omitempty"` // that the rescue is for, nil where nobody said
	Mine     string       `json:"mine,omitempty"` // ID of the system that is the host's; "" where none is, or several could be
	Problems []Problem    `json:"problems"`       // the most important first
	Systems  []System     `json:"systems"`
	Sessions []Session    `json:"sessions"`
	Backups  []Backup     `json:"backups"`
	KeyMedia []KeyMedium  `json:"key_media"`
	Media    []Medium     `json:"media"`
	Disks    []disks.Disk `json:"disks"`
}

// Host is the machine that the rescue is for.
type Host struct {
	Hostname string `json:"hostname"`
	Profile  string `json:"profile"`
	Layout   string `json:"layout"`
}

// Place is where a file system is: on a partition, or on a disk without any.
type Place struct {
	Disk      string `json:"disk"`           // path of the disk or the image, such as "/dev/nvme0n1"
	Node      string `json:"node,omitempty"` // path of the partition's node; "" where the kernel knows none
	Number    int    `json:"number"`         // of the partition; 0 where no table has it
	Start     int64  `json:"start"`          // bytes
	Size      int64  `json:"size"`           // bytes
	PARTUUID  string `json:"partuuid,omitempty"`
	PARTLABEL string `json:"partlabel,omitempty"`
}

// String names the place in a word that can be typed: the node, or the disk and what
// of it.
func (p Place) String() string {
	switch {
	case p.Node != "":
		return p.Node
	case p.Number > 0:
		return fmt.Sprintf("%s#%d", p.Disk, p.Number)
	case p.Start > 0:
		return fmt.Sprintf("%s@%d", p.Disk, p.Start)
	}
	return p.Disk
}

// placeOf returns the place of a partition.
func placeOf(d *disks.Disk, p disks.Partition) Place {
	at := Place{Disk: d.Path, Number: p.Number, Start: p.Start, Size: p.Size, PARTUUID: p.GUID, PARTLABEL: p.Label}
	if p.Name != "" {
		at.Node = filepath.Join(filepath.Dir(d.Path), p.Name)
	}
	return at
}

// Medium is an installer medium, such as the one that this machine was started from.
type Medium struct {
	Disk     string    `json:"disk"`
	Profile  string    `json:"profile"` // of the installer
	Payload  string    `json:"payload"` // profile of what it installs
	Hostname string    `json:"hostname"`
	Made     time.Time `json:"made,omitzero"` // what it counts for, see plan.Plan
}

// Options say where to look, and for what. The zero value looks at this machine.
type Options struct {
	Scanner disks.Scanner // finds and opens disks
	Images  []string      // disks and images that are looked at in the place of the machine's
	Plan    *plan.Plan    // of the host that the rescue is for; nil takes that of the only medium found
	Open    Opener        // tells of the snapshots of a repository; nil leaves them open
	// Patience is how long a disk is waited for, each of the two times that it is opened.
	// Zero durations are 20 seconds for a read and three minutes for all.
	Patience disks.Patience
}

// The defaults of Options.Patience. A disk on USB that has to spin up takes ten seconds,
// and the kernel asks a failing sector of it for 30.
const (
	patienceRead  = 20 * time.Second
	patienceWhole = 3 * time.Minute
)

// Take looks at all that is there. Its error is for what is wrong with the machine as a
// whole, with an image that is named, or with ctx; what is wrong with a disk is a Problem.
func Take(ctx context.Context, o Options) (*Inventory, error) {
	if o.Patience.Read == 0 {
		o.Patience.Read = patienceRead
	}
	if o.Patience.Whole == 0 {
		o.Patience.Whole = patienceWhole
	}
	o.Scanner.Open = o.Patience.Open(ctx, o.Scanner.Open)
	found, err := scan(ctx, o)
	if err != nil {
		return nil, err
	}
	looks := lookAt(ctx, o, found)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	inv := gather(found, looks)
	inv.judge(o.Plan, looks)
	if err := inv.openRepositories(ctx, o.Open); err != nil {
		return nil, err
	}
	sortProblems(inv)
	return inv, nil
}

// scan describes the disks.
func scan(ctx context.Context, o Options) ([]disks.Disk, error) {
	if len(o.Images) == 0 {
		return o.Scanner.Scan(ctx)
	}
	found := []disks.Disk{}
	for _, name := range o.Images {
		d, err := o.Scanner.One(ctx, name)
		if err != nil {
			return nil, err
		}
		found = append(found, d)
	}
	return found, nil
}
