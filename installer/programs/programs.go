// Package programs holds the programs that go into the systems of images, as
// they were when mkimage itself was built: those of a first boot, and those of an
// installer medium.
//
// They are made by "make programs" and are not in the repository. Without them
// this package compiles all the same, and Load says what to do.
package programs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

//go:embed packed
var files embed.FS

// The names of the programs, which are those of the files below packed without
// .zst, and in the system.
const (
	FirstBoot = "mkimage-firstboot"
	Restic    = "restic"
	Install   = "mkimage-install"
	Rescue    = "mkimage-rescue"
)

// maxProgram bounds a program, in bytes. The larger of the two has 45 MB.
const maxProgram = 256 << 20

// Programs are ELF programs that need no library of the system.
type Programs struct {
	FirstBoot []byte // what the system does once after it was installed
	Restic    []byte // restic itself, which backs up and checks backups
}

// Load returns the programs.
func Load() (Programs, error) {
	dir, err := fs.Sub(files, "packed")
	if err != nil {
		return Programs{}, err
	}
	return load(dir)
}

// LoadInstall returns the program of an installer medium.
func LoadInstall() ([]byte, error) { return loadOne(Install) }

// LoadRescue returns the program of a rescue environment.
func LoadRescue() ([]byte, error) { return loadOne(Rescue) }

func loadOne(name string) ([]byte, error) {
	dir, err := fs.Sub(files, "packed")
	if err != nil {
		return nil, err
	}
	return unpack(dir, name)
}

func load(dir fs.FS) (p Programs, err error) {
	if p.FirstBoot, err = unpack(dir, FirstBoot); err != nil {
		return Programs{}, err
	}
	if p.Restic, err = unpack(dir, Restic); err != nil {
		return Programs{}, err
	}
	return p, nil
}

func unpack(dir fs.FS, name string) ([]byte, error) {
	data, err := fs.ReadFile(dir, name+".zst")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.Internal, "run make build", "mkimage was built without the program %s", name)
	case err != nil:
		return nil, fmt.Errorf("embedded program: %w", err)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxProgram), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	program, err := d.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("embedded program %s: %w", name, err)
	}
	if len(program) == 0 {
		return nil, fmt.Errorf("embedded program %s: empty", name)
	}
	return program, nil
}
