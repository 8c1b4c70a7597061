package main

import (
	"context"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// cmdDisk makes a small disk image with its manifest beside it: disk LOADER
// FILE.
func cmdDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: disk LOADER FILE")
	}
	parts, err := smalldisk.New(args[0])
	ts.Check(err)
	m, err := parts.Assemble(context.Background(), ts.MkAbs(args[1]))
	ts.Check(err)
	text, err := m.Encode()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+manifest.Suffix), text, 0o644))
}
