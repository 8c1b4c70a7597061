package efivar_test

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/installer/efivar"
)

const global = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"

// memory is a firmware that can fail at any change.
type memory struct {
	files   map[string][]byte
	changes int             // made or tried
	fail    map[int]error   // by the number of the change
	forget  map[string]bool // variables that are accepted and not kept
	unread  map[string]error
	after   func() // each change that was made
}

func newMemory() *memory {
	return &memory{files: map[string][]byte{}, fail: map[int]error{}, forget: map[string]bool{}, unread: map[string]error{}, after: func() {}}
}

func (m *memory) List() ([]string, error) {
	return slices.Collect(maps.Keys(m.files)), m.unread[""]
}

func (m *memory) Read(name string) ([]byte, error) {
	if err := m.unread[name]; err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	data, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ENOENT}
	}
	return data, nil
}

func (m *memory) change(name string, make func()) error {
	n := m.changes
	m.changes++
	if err := m.fail[n]; err != nil {
		return &fs.PathError{Op: "write", Path: name, Err: err}
	}
	if !m.forget[name] {
		make()
	}
	m.after()
	return nil
}

func (m *memory) Write(name string, data []byte) error {
	return m.change(name, func() { m.files[name] = slices.Clone(data) })
}

func (m *memory) Remove(name string) error {
	if _, ok := m.files[name]; !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: unix.ENOENT}
	}
	return m.change(name, func() { delete(m.files, name) })
}

// set sets a variable of the boot menu.
func (m *memory) set(name string, value []byte) {
	m.files[name+global] = append([]byte{7, 0, 0, 0}, value...)
}

// order sets a list of entries.
func (m *memory) order(name string, numbers ...uint16) {
	var value []byte
	for _, n := range numbers {
		value = binary.LittleEndian.AppendUint16(value, n)
	}
	m.set(name, value)
}

// numbers returns a list of entries, nil when there is none.
func (m *memory) numbers(t testing.TB, name string) []uint16 {
	t.Helper()
	data, ok := m.files[name+global]
	if !ok {
		return nil
	}
	order, err := efivar.DecodeOrder(data[4:])
	if err != nil {
		t.Fatal(err)
	}
	return order
}

// entry sets an entry for a file on a partition.
func (m *memory) entry(t testing.TB, number uint16, e efivar.Entry) {
	t.Helper()
	other := newMemory()
	if _, err := efivar.New(other).AddEntry(e); err != nil {
		t.Fatal(err)
	}
	m.files[fmt.Sprintf("Boot%04X", number)+global] = other.files["Boot0000"+global]
}

// option returns an entry, nil when it is not there.
func (m *memory) option(t testing.TB, number uint16) *efivar.LoadOption {
	t.Helper()
	data, ok := m.files[fmt.Sprintf("Boot%04X", number)+global]
	if !ok {
		return nil
	}
	o, err := efivar.DecodeLoadOption(data[4:])
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// uuid is a partition of a number.
func uuid(n byte) ids.UUID {
	return ids.UUID{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, n}
}

const loader = `\EFI\systemd\systemd-bootx64.efi`

// fox is the entry of an installation on a partition.
func fox(partition byte) efivar.Entry {
	return efivar.Entry{
		Description: "Fox", Partition: efivar.Partition{Number: 1, Start: 2048, Size: 1 << 20, GUID: uuid(partition)},
		Path: loader, Present: []ids.UUID{uuid(1), uuid(2)},
	}
}

// with changes an entry.
func with(e efivar.Entry, change func(*efivar.Entry)) efivar.Entry {
	change(&e)
	return e
}
