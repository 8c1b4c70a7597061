// Command mkimage-init is PID 1 of every initramfs that mkimage makes.
//
// It takes no arguments: what it does is on the kernel's command line and in
// the archive. See package boot and docs/initramfs.md.
package main

import (
	"fmt"
	"os"

	"github.com/6FaNcY9/mkimage/initramfs/boot"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "mkimage-init: runs only as PID 1 of an initramfs")
		os.Exit(2)
	}
	boot.Run()
}
