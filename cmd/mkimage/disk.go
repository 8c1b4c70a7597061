package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
)

// openDisk opens a raw disk image or a block device. Images of other formats
// are refused with how to make raw ones of them.
func openDisk(name string) (*rawdisk.Disk, error) {
	d, err := rawdisk.Open(name, os.O_RDONLY)
	if errors.Is(err, syscall.EISDIR) {
		return nil, fault.New(fault.Input, "", "%s: is a directory, expected a file or device that holds a file system", name)
	} else if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	if err := refusePacked(d, name); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// qcow2Magic begins a qcow2 image, zstdMagic a zstd frame. (QEMU docs/interop;
// RFC 8878, 3.1.1.)
const (
	qcow2Magic = "QFI\xfb"
	zstdMagic  = "\x28\xb5\x2f\xfd"
)

// refusePacked refuses the formats that "mkimage build" writes besides raw.
func refusePacked(r io.ReaderAt, name string) error {
	var magic [4]byte
	if n, _ := r.ReadAt(magic[:], 0); n < len(magic) {
		return nil // whoever reads it says what it expected
	}
	switch string(magic[:]) {
	case qcow2Magic:
		return fault.New(fault.Input, "make it raw: qemu-img convert -O raw "+name+" disk.img", "%s: is a qcow2 image, expected a raw one", name)
	case zstdMagic:
		return fault.New(fault.Input, "unpack it: zstd -d "+name, "%s: is compressed with zstd, expected a raw image", name)
	}
	return nil
}

// nameError puts the name of the file in front of an error.
func nameError(name string, err error) error { return fmt.Errorf("%s: %w", name, err) }
