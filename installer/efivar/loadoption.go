package efivar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// LoadOption is an entry of the boot menu, the value of a variable Boot#### (EFI_LOAD_OPTION,
// UEFI 2.10, 3.1.3).
type LoadOption struct {
	Attributes  uint32
	Description string
	Path        []Node // without its end
	More        []byte // further device paths, encoded; what they say is the firmware's affair
	Optional    []byte // handed to what is booted
}

// active is the attribute of an entry that is tried (LOAD_OPTION_ACTIVE).
const active = 1

// DecodeLoadOption reads an entry.
func DecodeLoadOption(value []byte) (*LoadOption, error) {
	const head = 6
	if len(value) < head || len(value) > maxVariable {
		return nil, fmt.Errorf("load option: %d bytes, expected %d to %d", len(value), head, maxVariable)
	}
	o := &LoadOption{Attributes: binary.LittleEndian.Uint32(value)}
	size := int(binary.LittleEndian.Uint16(value[4:]))
	var rest []byte
	var err error
	if o.Description, rest, err = decodeString(value[head:]); err != nil {
		return nil, fmt.Errorf("load option: description: %w", err)
	}
	if size > len(rest) {
		return nil, fmt.Errorf("load option: device paths of %d bytes, %d are left", size, len(rest))
	}
	if o.Path, o.More, err = decodePath(rest[:size]); err != nil {
		return nil, fmt.Errorf("load option: %w", err)
	}
	o.Optional = rest[size:]
	return o, nil
}

// Encode returns the value of the variable. Errors of a description have class
// fault.Config.
func (o *LoadOption) Encode() ([]byte, error) {
	paths, err := appendPath(nil, o.Path)
	if err != nil {
		return nil, fmt.Errorf("load option: %w", err)
	}
	paths = append(paths, o.More...)
	if len(paths) > 0xffff {
		return nil, fmt.Errorf("load option: device paths of %d bytes, expected %d at most", len(paths), 0xffff)
	}
	value := binary.LittleEndian.AppendUint32(nil, o.Attributes)
	value = binary.LittleEndian.AppendUint16(value, uint16(len(paths)))
	if value, err = appendString(value, o.Description); err != nil {
		return nil, fmt.Errorf("load option: description: %w", err)
	}
	value = append(append(value, paths...), o.Optional...)
	if len(value) > maxVariable {
		return nil, fmt.Errorf("load option: %d bytes, expected %d at most", len(value), maxVariable)
	}
	return value, nil
}

// File returns the file that is booted and the partition that it is on; ok is
// false of an entry for anything else.
func (o *LoadOption) File() (p Partition, path string, ok bool) { return file(o.Path) }

// String returns description and file on one line.
func (o *LoadOption) String() string {
	p, path, ok := o.File()
	if !ok {
		return fmt.Sprintf("%q", o.Description)
	}
	return fmt.Sprintf("%q, %s of partition %d, %s", o.Description, path, p.Number, p.GUID)
}

// Entry is an entry that an installer wants at the head of the boot menu.
type Entry struct {
	Description string
	Partition   Partition
	Path        string // of the loader on the partition, from its root
	// Present are the partitions of all disks that are there. An entry with our
	// description and path for a partition that is not among them is of an
	// installation that is gone. With none nothing is taken for gone.
	Present []ids.UUID
	Next    bool // boot it next, too, whatever the order says
}

// option returns the entry as the firmware wants it.
func (e *Entry) option() (*LoadOption, error) {
	path := firmwarePath(e.Path)
	var problem error
	switch {
	case e.Description == "":
		problem = errors.New("no description")
	case path == `\`:
		problem = errors.New("no path of a loader")
	case e.Partition.GUID.IsZero() || e.Partition.Number == 0 || e.Partition.Size == 0:
		problem = errors.New("no partition")
	}
	if problem != nil {
		return nil, fault.New(fault.Config, "", "entry %q: %w", e.Description, problem)
	}
	f, err := fileNode(path)
	if err != nil {
		return nil, err
	}
	return &LoadOption{Attributes: active, Description: e.Description, Path: []Node{e.Partition.node(), f}}, nil
}

// firmwarePath is a path from the root as firmware writes it.
func firmwarePath(path string) string {
	return `\` + strings.TrimLeft(strings.ReplaceAll(path, "/", `\`), `\`)
}

// samePath reports whether two paths lead to one file of a FAT file system.
func samePath(a, b string) bool { return strings.EqualFold(firmwarePath(a), firmwarePath(b)) }
