package boot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// resumeDevice returns the device that resume= means, of those that are known.
// It takes what the kernel takes (early_lookup_bdev), and the names below
// /dev/disk that udev would give.
func resumeDevice(text string, devices []Device) (Device, error) {
	kind, value, isTag := strings.Cut(text, "=")
	if rest, ok := strings.CutPrefix(text, "/dev/disk/by-"); ok {
		kind, value, isTag = strings.Cut(rest, "/")
		kind = strings.ToUpper(kind)
	}
	root := Root{Value: strings.TrimPrefix(text, "/dev/")}
	if isTag {
		root = Root{Kind: kind, Value: strings.Trim(value, `"`)}
	}
	switch root.Kind {
	case "PARTUUID", "UUID":
		root.Value = strings.ToLower(root.Value)
	case "PARTLABEL", "LABEL":
	case "":
		for _, d := range devices {
			if d.Number == text {
				return d, nil
			}
		}
	default:
		return Device{}, fmt.Errorf("resume=%s: expected PARTUUID=, UUID=, PARTLABEL=, LABEL=, /dev/NAME or MAJOR:MINOR", text)
	}
	d, ok, err := root.Select(devices)
	if err != nil {
		return Device{}, err
	}
	if !ok {
		return Device{}, fmt.Errorf("resume=%s: no such device", text)
	}
	return d, nil
}

// locationFile is the variable's name in efivarfs, with the vendor of systemd.
const locationFile = "HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"

// maxLocation bounds the variable, in bytes: firmware takes at most so much.
const maxLocation = 64 << 10

// readLocation returns the variable of the firmware; fs.ErrNotExist where there
// is none. dir is where efivarfs belongs, which is mounted as long as it takes.
func readLocation(dir string, l *loader) (raw []byte, err error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	if err := l.demand("efivarfs"); err != nil {
		return nil, fmt.Errorf("HibernateLocation: module efivarfs: %w", err)
	}
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("efivarfs", dir, "efivarfs", flags, ""); err != nil {
		return nil, fmt.Errorf("HibernateLocation: mount %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)) }()
	return readVariable(filepath.Join(dir, locationFile))
}

func readVariable(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxLocation))
}
