package boot

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Device is a block device and what identifies it. What is unknown is empty.
type Device struct {
	Name                string // below /dev
	Number              string // MAJOR:MINOR
	Size                int64  // bytes
	Disk                string // of a partition the disk's name
	Part                int    // of a partition its number, from 1
	Start               int64  // of a partition its first sector of 512 bytes
	PartUUID, PartLabel string
	UUID, Label         string // of the btrfs file system on it
	Problem             string // why it could not be read, or only in part
}

// Path returns the device node.
func (d Device) Path() string { return "/dev/" + d.Name }

// String returns one line about the device for a person who looks for it.
func (d Device) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s %10s", d.Path(), formatSize(d.Size))
	for _, f := range []struct{ key, value string }{
		{"PARTLABEL", d.PartLabel}, {"PARTUUID", d.PartUUID}, {"LABEL", d.Label}, {"UUID", d.UUID},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%s", f.key, f.value)
		}
	}
	if d.UUID != "" {
		b.WriteString(" btrfs")
	}
	if d.Problem != "" {
		fmt.Fprintf(&b, " (%s)", d.Problem)
	}
	return b.String()
}

func formatSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return strconv.FormatFloat(f, 'f', min(i, 1), 64) + " " + units[i]
}

// host is where the kernel shows block devices: /sys and /dev, or folders that
// stand for them.
type host struct{ sys, dev string }

// names returns the names of all block devices, sorted.
func (h host) names() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(h.sys, "class/block"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}

// identify returns what is known of a device. Content that cannot be read is a
// Problem, not an error: another device may be the one that is wanted.
func (h host) identify(name string) (Device, error) {
	dir := filepath.Join(h.sys, "class/block", name)
	d := Device{Name: name}
	var err error
	if d.Number, err = readLine(filepath.Join(dir, "dev")); err != nil {
		return Device{}, err
	}
	sectors, err := readNumber(filepath.Join(dir, "size"))
	if err != nil {
		return Device{}, err
	}
	d.Size = sectors * 512
	if part, err := readNumber(filepath.Join(dir, "partition")); err == nil {
		if d.Start, err = readNumber(filepath.Join(dir, "start")); err != nil {
			return Device{}, err
		}
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return Device{}, err
		}
		d.Part, d.Disk = int(part), filepath.Base(filepath.Dir(real))
	}
	// Opening a floppy drive takes seconds, an empty drive has no size.
	if d.Size == 0 || strings.HasPrefix(name, "fd") || strings.HasPrefix(name, "ram") {
		return d, nil
	}
	for _, look := range []func(*Device) error{h.readPartition, h.readSuper} {
		if err := look(&d); err != nil {
			d.Problem = strings.TrimPrefix(d.Problem+", "+err.Error(), ", ")
		}
	}
	return d, nil
}

// readPartition fills in what the disk's table says of a partition.
func (h host) readPartition(d *Device) error {
	if d.Part == 0 {
		return nil
	}
	sector, err := readNumber(filepath.Join(h.sys, "class/block", d.Disk, "queue/logical_block_size"))
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(h.dev, d.Disk))
	if err != nil {
		return err
	}
	defer f.Close()
	table, err := readGPT(f, sector)
	if err != nil {
		return err
	}
	e, ok := table[d.Part]
	if !ok || e.first*(sector/512) != d.Start {
		return fmt.Errorf("partition %d of %s at sector %d: not in the table on the disk", d.Part, d.Disk, d.Start)
	}
	d.PartUUID, d.PartLabel = e.uuid, e.label
	return nil
}

func (h host) readSuper(d *Device) error {
	if d.Size < superOffset+superSize {
		return nil
	}
	f, err := os.Open(filepath.Join(h.dev, d.Name))
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, superSize)
	if _, err := f.ReadAt(b, superOffset); err != nil && err != io.EOF {
		return err
	}
	uuid, label, err := btrfsIdentity(b)
	if err == errNotBtrfs {
		return nil
	}
	d.UUID, d.Label = uuid, label
	return err
}

func readLine(name string) (string, error) {
	b, err := os.ReadFile(name)
	return strings.TrimSpace(string(b)), err
}

func readNumber(name string) (int64, error) {
	text, err := readLine(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<53 {
		return 0, fmt.Errorf("%s: got %q, expected a number", name, text)
	}
	return n, nil
}
