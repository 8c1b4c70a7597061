package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/rescue/carried"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// openStick opens the recovery stick, until the command ends. It says so and returns nil
// where none is plugged in, and elsewhere than in the environment of one.
func (p *program) openStick(m *machine.Machine) (*carried.Stick, error) {
	if !isHere() {
		return nil, nil
	}
	verify, err := stickVerifier()
	if err != nil {
		return nil, err
	}
	if len(m.Inventory.Media) != 1 {
		p.note("%d media are plugged in: what only the stick has is left out", len(m.Inventory.Media))
		return nil, nil
	}
	disk, err := m.Open(m.Inventory.Media[0].Disk, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	p.after = append(p.after, disk.Close)
	medium, err := installer.OpenStick(disk, disk.Size(), verify)
	if err != nil {
		return nil, fault.New(fault.Input, "make the stick anew", "%s: %w", disk.Name(), err)
	}
	if verify == nil && (m.Plan == nil || medium.Manifest.Plan.Seed != m.Plan.Seed) {
		p.note("%s: is not the stick that this machine was started from: what only that has is left out", disk.Name())
		return nil, nil
	}
	init, err := carried.OwnInit()
	return &carried.Stick{Medium: medium, Init: init}, err
}

// stickVerifier returns what checks that a stick is of the maker of this environment, nil
// for one that nobody has signed.
func stickVerifier() (installer.Verify, error) {
	text, err := os.ReadFile(config.InstallKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	key, err := signature.ParsePublic(text)
	if err != nil {
		return nil, err
	}
	return func(message, sig []byte) error {
		_, err := signature.Verify(key, message, sig)
		return err
	}, nil
}
