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

// openStick opens the recovery stick, until the command ends. Where none is plugged in,
// or the environment is none of a stick, which has the key of its maker, it says so and
// returns nil.
func (p *program) openStick(m *machine.Machine) (*carried.Stick, error) {
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
	if len(m.Inventory.Media) != 1 {
		p.note("%d installer media are plugged in: what only the stick has is left out", len(m.Inventory.Media))
		return nil, nil
	}
	disk, err := m.Open(m.Inventory.Media[0].Disk, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	p.after = append(p.after, disk.Close)
	medium, err := installer.OpenMedium(disk, disk.Size(), func(message, sig []byte) error {
		_, err := signature.Verify(key, message, sig)
		return err
	})
	if err != nil {
		return nil, fault.New(fault.Input, "make the stick anew", "%s: %w", disk.Name(), err)
	}
	init, err := carried.OwnInit()
	return &carried.Stick{Medium: medium, Init: init}, err
}
