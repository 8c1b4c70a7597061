package bootrepair

import (
	"errors"

	"github.com/6FaNcY9/mkimage/installer/efivar"
)

// RepairFirmware makes the entry of a system's ESP the first of the firmware's menu, where
// it is not: it returns what it has changed. The disk starts without it where the firmware
// looks for the fallback loader, so that all errors are to be shown, and no more.
func RepairFirmware(vars *efivar.Vars, e efivar.Entry) ([]efivar.Change, error) {
	p, err := vars.AddEntry(e)
	if p == nil {
		return nil, err
	}
	return p.Changes, err
}

// planFirmware returns what RepairFirmware would change, and why nothing can be.
func planFirmware(vars *efivar.Vars, e efivar.Entry) ([]efivar.Change, string, error) {
	p, err := vars.Plan(e)
	var warning *efivar.Warning
	if errors.As(err, &warning) {
		return nil, warning.Error(), nil
	}
	if err != nil {
		return nil, "", err
	}
	return p.Changes, "", nil
}
