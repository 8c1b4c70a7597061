package efivar

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Warning is why the firmware's variables could not be read or written. It is
// to be shown, and the work to go on: what is needed to boot is on the disk.
type Warning struct {
	Name string // of the variable, as efivarfs has it; "" is of all
	Text string // what happened, and what it means
	Hint string // what to do or to type; "" when there is nothing to say
	Err  error  // the cause, or nil
}

// Error returns name and text.
func (w *Warning) Error() string {
	text := w.Text
	if w.Err != nil {
		text += " (" + w.Err.Error() + ")"
	}
	if w.Name == "" {
		return text
	}
	return shortName(w.Name) + ": " + text
}

// Unwrap returns the cause.
func (w *Warning) Unwrap() error { return w.Err }

// meanings are what the kernel's numbers mean of variables: firmware has few
// words, and the kernel fewer (efi_status_to_err in drivers/firmware/efi/efi.c).
var meanings = []struct {
	err        error
	text, hint string
}{
	{unix.ENOSPC, "the firmware's memory for variables is full, or the kernel keeps the last of it free",
		"delete entries that nobody needs (efibootmgr -b NNNN -B) and dumps of crashes (rm /sys/fs/pstore/*), then start the machine again"},
	{unix.EROFS, "efivarfs is mounted read-only, or the firmware has locked the variable", "mount -o remount,rw " + Mount},
	{unix.EINVAL, "the firmware refuses it", "set it in the firmware's own menu"},
	{unix.EIO, "the firmware's memory for variables is broken", "reset the firmware's settings; look for an update of it"},
	{unix.EACCES, "not allowed: only root may, and Secure Boot or the firmware's password may lock it", ""},
	{unix.EPERM, "not allowed: only root may, and Secure Boot or the firmware's password may lock it", ""},
	{unix.ENOSYS, "the firmware does not let a running system at its variables", "set it in the firmware's own menu"},
	{unix.EOPNOTSUPP, "the firmware does not let a running system at its variables", "set it in the firmware's own menu"},
	{unix.ENODEV, "the firmware does not let a running system at its variables", "set it in the firmware's own menu"},
	{fs.ErrNotExist, "is not there", ""},
}

// warn makes a warning of what was done with a variable, and why it failed.
func warn(what, name string, err error) error {
	var w *Warning
	if errors.As(err, &w) {
		return err
	}
	for _, m := range meanings {
		if errors.Is(err, m.err) {
			return &Warning{Name: name, Text: "cannot " + what + ": " + m.text, Hint: m.hint, Err: cause(err)}
		}
	}
	return &Warning{Name: name, Text: "cannot " + what, Err: cause(err)}
}

// cause is err without the name of a call and of a file.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// noVariables is of a directory that is not efivarfs.
func noVariables(dir string, err error) error {
	return &Warning{
		Text: fmt.Sprintf("%s: no variables of UEFI: the machine was started by a BIOS, or efivarfs is not mounted", dir),
		Hint: "mount -t efivarfs efivarfs " + Mount + "; with a BIOS choose the disk in its menu", Err: err,
	}
}

// shortName is a name without a vendor that everybody knows.
func shortName(name string) string {
	for _, v := range []string{vendorGlobal, vendorSystemd, vendorLoader} {
		if short, ok := strings.CutSuffix(name, "-"+v); ok {
			return short
		}
	}
	return name
}
