package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
)

// older reads where the older image has its files, and returns its plan, or nil where
// it has none. It may be the output: that is replaced when the new one is complete.
func (f *buildFlags) older(in *image.Inputs) (*plan.Plan, error) {
	if f.like == "" {
		return nil, nil
	}
	d, err := openDisk(f.like)
	if err != nil {
		return nil, fmt.Errorf("--like: %w", err)
	}
	defer d.Close()
	fsys, err := openRoot(d)
	if err == nil {
		in.Places, err = btrfs.PlacesOf(fsys)
	}
	var older *plan.Plan
	if err == nil {
		older, err = planOnESP(d)
	}
	if err != nil {
		return nil, fmt.Errorf("--like: %w", nameError(f.like, err))
	}
	return older, nil
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

