package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// TestRecoverOtherDisk has another disk come in the place of the one that was agreed to
// while the installer runs: neither key nor home is brought to it.
func TestRecoverOtherDisk(t *testing.T) {
	imgtest.Need(t, "cmp", "cp", "truncate")
	b, stick := newRecovery(t)
	theirs := filepath.Join(b.dir, "theirs.img")
	b.assemble(theirs)
	size, err := os.Stat(theirs)
	must(t, err)
	installer := filepath.Join(b.root, config.InstallProgram)
	for _, tt := range []struct{ name, script, want string }{
		{"of another size", "rm " + b.laptop + " && cp --sparse=always " + theirs + " " + b.laptop, "another disk is there now"},
		{"of the same size", "rm " + b.laptop + " && cp --sparse=always " + theirs + " " + b.laptop + " && truncate --size=4G " + b.laptop, "has not what this medium installs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.laptop = b.empty("new.img", 4<<30)
			must(t, os.Remove(installer), os.WriteFile(installer, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755))
			b.expect(int(fault.Target), tt.want, "recover", "--image", stick, "--erase", "new.img")
			command(t, "cmp", "--bytes", strconv.FormatInt(size.Size(), 10), theirs, b.laptop) // nothing was written to it
		})
	}
}
