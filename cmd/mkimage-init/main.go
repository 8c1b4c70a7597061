// Command mkimage-init is PID 1 of every initramfs that mkimage makes.
//
// It takes no arguments: what it does is on the kernel's command line and in
// the archive. By another name it is PID 1 in front of the initrd of a system
// itself, and what runs for that. See package boot and docs/initramfs.md.
package main

import (
	"fmt"
	"os"

	"github.com/6FaNcY9/mkimage/initramfs/boot"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

func main() {
	switch {
	case os.Args[0] == config.PreludeDuties && os.Getppid() == 1:
		if !boot.Duties() {
			os.Exit(1)
		}
	case os.Getpid() != 1:
		fmt.Fprintln(os.Stderr, "mkimage-init: runs only as PID 1 of an initramfs")
		os.Exit(2)
	case os.Args[0] == config.PreludeInit:
		boot.Prelude()
	default:
		boot.Run()
	}
}
