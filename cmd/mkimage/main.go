// Command mkimage makes images of bootable disks from profiles, and verifies,
// reads and boots them: without root, without mounting anything and, but for
// QEMU and the installer of Debian packages, without foreign programs.
//
// The exit status says whose turn it is: see exitStatus in root.go, or the end
// of every command's help.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], stdio{out: os.Stdout, err: os.Stderr}))
}
