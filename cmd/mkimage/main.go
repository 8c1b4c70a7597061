// Command mkimage makes, reads and checks btrfs file systems without root,
// without mounting anything and without foreign programs.
//
// The exit status says whose turn it is: see exitStatus in run.go, or the end
// of every command's help.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], stdio{out: os.Stdout, err: os.Stderr}))
}
