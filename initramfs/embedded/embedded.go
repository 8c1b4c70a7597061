// Package embedded holds the programs that go into every initramfs, as they
// were when mkimage itself was built.
//
// They are made by "make build" and are not in the repository. Without them
// this package compiles all the same, and Load says what to do.
package embedded

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

//go:embed programs
var files embed.FS

// The names of the files below programs.
const (
	initName      = "mkimage-init"
	hibernateName = "mkimage-hibernate"
	busyboxName   = "busybox.cpio.zst"
)

// Programs are the programs of an initramfs.
type Programs struct {
	Init      []byte // mkimage-init, an ELF program
	Hibernate []byte // mkimage-hibernate, an ELF program for the running system
	// Busybox is a cpio archive (newc) compressed as one frame of zstd: bin/bb
	// and the symlinks of all commands to it, bin/sh among them.
	Busybox []byte
}

// Load returns the programs. Their bytes must not be changed.
func Load() (Programs, error) {
	dir, err := fs.Sub(files, "programs")
	if err != nil {
		return Programs{}, err
	}
	return load(dir)
}

func load(dir fs.FS) (Programs, error) {
	var p Programs
	for name, to := range map[string]*[]byte{initName: &p.Init, hibernateName: &p.Hibernate, busyboxName: &p.Busybox} {
		data, err := fs.ReadFile(dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return Programs{}, fault.New(fault.Internal, "run make build", "mkimage was built without its initramfs programs")
		case err != nil:
			return Programs{}, fmt.Errorf("embedded program: %w", err)
		case len(data) == 0:
			return Programs{}, fmt.Errorf("embedded program %s: empty", name)
		}
		*to = data
	}
	return p, nil
}
