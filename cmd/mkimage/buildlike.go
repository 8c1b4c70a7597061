package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
)

// olderImage is the image of --like.
type olderImage struct {
	disk *rawdisk.Disk
	fs   *reader.FS
	name string
	plan *plan.Plan // or nil
}

// openOlder opens the older image and reads its plan; it returns nil where none is
// asked for. It may be the output: that is replaced when the new one is complete.
func (f *buildFlags) openOlder(u *ui) (*olderImage, error) {
	if f.like == "" {
		return nil, nil
	}
	d, err := openDisk(f.like)
	if err != nil {
		return nil, fmt.Errorf("--like: %w", err)
	}
	o := &olderImage{disk: d, name: f.like}
	if o.fs, err = openRoot(d); err != nil {
		return nil, errors.Join(fmt.Errorf("--like: %w", nameError(f.like, err)), d.Close())
	}
	if o.plan, err = planOnESP(d); err != nil {
		u.warn("--like: %s: its identity is not kept: %v", printable(f.like), err)
	}
	return o, nil
}

// like returns the plan that a new one takes the place of, or nil.
func (o *olderImage) like() *plan.Plan {
	if o == nil {
		return nil
	}
	return o.plan
}

// places reads where the image has its files.
func (o *olderImage) places() (*btrfs.Places, error) {
	if o == nil {
		return nil, nil
	}
	places, err := btrfs.PlacesOf(o.fs)
	if err != nil {
		return nil, fmt.Errorf("--like: %w", nameError(o.name, err))
	}
	return places, nil
}

// Close closes the image, if there is one.
func (o *olderImage) Close() error {
	if o == nil {
		return nil
	}
	return o.disk.Close()
}

// planOnESP returns the plan in the manifest on a disk's ESP, or nil where there is
// none.
func planOnESP(d *rawdisk.Disk) (*plan.Plan, error) {
	part, found := findPartition(d, plan.TypeESP)
	if !found {
		return nil, nil
	}
	esp, err := espreader.Open(part, part.Size())
	if err != nil {
		return nil, fmt.Errorf("ESP: %w", err)
	}
	data, err := esp.ReadAtMost(manifest.ESPPath, manifest.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ESP: %w", err)
	}
	m, err := manifest.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("ESP: /%s: %w", manifest.ESPPath, err)
	}
	return m.Plan, nil
}
