// Package efivar reads and writes the variables of a machine's firmware as far
// as an installer needs them: an entry of its boot menu, the order of the
// entries, the one for the next boot, and what systemd keeps there. It goes
// through efivarfs, which must be mounted: it mounts nothing.
//
// No failure here makes an installation fail. A firmware's memory may be full,
// broken or locked, and firmware loses entries by itself: the loader under
// \EFI\BOOT boots all the same. So every error that comes from the machine is a
// *Warning, which says what it means.
//
// Whatever ends the work, after any write, the firmware has no order that names
// an entry which is not there because of us: entries are written before the
// order that names them and deleted after it does no more, and BootNext comes
// last. A variable is written at once or not at all, as far as the firmware
// keeps its promise (UEFI Specification 2.10, 8.2.3 SetVariable).
package efivar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Mount is where efivarfs belongs.
const Mount = "/sys/firmware/efi/efivars"

// Attributes of a variable (UEFI 2.10, 8.2.1 GetVariable).
const (
	nonVolatile   = 1
	bootService   = 2
	runtimeAccess = 4
	// Persistent is what the variables of the boot menu have.
	Persistent uint32 = nonVolatile | bootService | runtimeAccess
)

// Vendors of variables: a GUID says whose a name is.
const (
	vendorGlobal  = "8be4df61-93ca-11d2-aa0d-00e098032b8c" // EFI_GLOBAL_VARIABLE, UEFI 2.10, 3.3
	vendorSystemd = "8cf2644b-4b0b-428f-9387-6d876050dc67" // of systemd itself
	vendorLoader  = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f" // the Boot Loader Interface of systemd
)

// Names of variables, as efivarfs has them: the name, a hyphen, the vendor.
const (
	BootOrder         = "BootOrder-" + vendorGlobal
	BootNext          = "BootNext-" + vendorGlobal
	HibernateLocation = "HibernateLocation-" + vendorSystemd
	loaderPartition   = "LoaderDevicePartUUID-" + vendorLoader
)

// maxVariable bounds a variable in bytes. Firmware allows 32 KiB or so.
const maxVariable = 1 << 16

// attributesSize is what precedes the value in a file of efivarfs
// (Documentation/filesystems/efivarfs.rst of Linux).
const attributesSize = 4

// Dir is the directory of efivarfs. A name is that of a file in it.
type Dir interface {
	// List returns all names.
	List() ([]string, error)
	// Read returns the content, of which maxVariable bytes or little more are
	// enough.
	Read(name string) ([]byte, error)
	// Write makes or replaces a file in one call, as efivarfs demands.
	Write(name string, data []byte) error
	// Remove removes a file.
	Remove(name string) error
}

// Vars are the variables of a firmware.
type Vars struct{ dir Dir }

// New returns the variables in a directory.
func New(d Dir) *Vars { return &Vars{d} }

// Read returns a variable. That it is absent is an error with fs.ErrNotExist.
func (v *Vars) Read(name string) (attributes uint32, value []byte, err error) {
	data, err := v.dir.Read(name)
	switch {
	case err != nil:
		return 0, nil, warn("read", name, err)
	case len(data) == 0: // of a variable whose first write failed
		return 0, nil, warn("read", name, fs.ErrNotExist)
	case len(data) < attributesSize:
		return 0, nil, warn("read", name, fmt.Errorf("%d bytes, expected %d of attributes and a value", len(data), attributesSize))
	case len(data) > attributesSize+maxVariable:
		return 0, nil, warn("read", name, fmt.Errorf("more than %d bytes", maxVariable))
	}
	return binary.LittleEndian.Uint32(data), data[attributesSize:], nil
}

// Write writes a variable and reads it back; firmware has been seen to accept
// what it does not keep. One that is so already is not written: the memory
// wears, and each write is a risk.
func (v *Vars) Write(name string, attributes uint32, value []byte) error {
	if len(value) == 0 || len(value) > maxVariable { // no value deletes
		return fmt.Errorf("%s: a value of %d bytes, expected 1 to %d", name, len(value), maxVariable)
	}
	if v.has(name, attributes, value) {
		return nil
	}
	if err := v.dir.Write(name, append(binary.LittleEndian.AppendUint32(nil, attributes), value...)); err != nil {
		return warn("write", name, err)
	}
	if !v.has(name, attributes, value) {
		return &Warning{Name: name, Text: "the firmware accepted it, but does not keep it", Hint: "set it in the firmware's own menu"}
	}
	return nil
}

// has reports whether a variable is there and is this.
func (v *Vars) has(name string, attributes uint32, value []byte) bool {
	a, old, err := v.Read(name)
	return err == nil && a == attributes && slices.Equal(old, value)
}

// Delete deletes a variable. That it is absent is no error.
func (v *Vars) Delete(name string) error {
	if err := v.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return warn("delete", name, err)
	}
	return nil
}

// ClearHibernateLocation deletes what systemd says of a hibernated session,
// which a new installation has not.
func (v *Vars) ClearHibernateLocation() error { return v.Delete(HibernateLocation) }

// LoaderDevicePartUUID returns the partition that the machine was booted from,
// as systemd-boot and systemd's stub say
// (https://systemd.io/BOOT_LOADER_INTERFACE). Other loaders do not: then the
// error holds fs.ErrNotExist.
func (v *Vars) LoaderDevicePartUUID() (ids.UUID, error) {
	_, value, err := v.Read(loaderPartition)
	if err != nil {
		return ids.UUID{}, err
	}
	text, rest, err := decodeString(value)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes behind the text", len(rest))
	}
	var id ids.UUID
	if err == nil {
		id, err = ids.ParseUUID(strings.ToLower(text))
	}
	if err != nil {
		return ids.UUID{}, warn("read", loaderPartition, err)
	}
	return id, nil
}

// SetBootNext makes the firmware boot an entry once, before all others.
func (v *Vars) SetBootNext(number uint16) error {
	name, err := v.entryName(number)
	if err != nil {
		return err
	}
	if _, _, err := v.Read(name); err != nil {
		return err
	}
	return v.Write(BootNext, Persistent, binary.LittleEndian.AppendUint16(nil, number))
}

// decodeString reads a text of CHAR16 up to its zero, and returns what follows.
func decodeString(data []byte) (text string, rest []byte, err error) {
	var units []uint16
	for at := 0; at+2 <= len(data); at += 2 {
		u := binary.LittleEndian.Uint16(data[at:])
		if u == 0 {
			return string(utf16.Decode(units)), data[at+2:], nil
		}
		units = append(units, u)
	}
	return "", nil, errors.New("text without an end")
}

// appendString writes a text with its zero. UEFI knows UCS-2 alone, without
// the characters beyond U+FFFF.
func appendString(data []byte, text string) ([]byte, error) {
	for _, r := range text {
		if r == 0 || r > 0xffff || r == '\ufffd' {
			return nil, fault.New(fault.Config, "", "%q: %q cannot be in a text of the firmware", text, r)
		}
		data = binary.LittleEndian.AppendUint16(data, uint16(r))
	}
	return append(data, 0, 0), nil
}
