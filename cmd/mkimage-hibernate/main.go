// Command mkimage-hibernate keeps hibernation to a swapfile on btrfs possible
// in a running system.
//
//	mkimage-hibernate watch SWAPFILE    tell the kernel the place of SWAPFILE, now and when it changes
//	mkimage-hibernate check SWAPFILE    do so once; exit status 1 when hibernation cannot end well
//
// The initramfs leaves it in /run/mkimage, with the units that run it. See
// package hibernate.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/6FaNcY9/mkimage/initramfs/hibernate"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status: 0, 1 for a refusal, 2 for wrong arguments.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) != 2 || args[0] != "watch" && args[0] != "check" {
		fmt.Fprintln(stderr, "usage: mkimage-hibernate watch|check SWAPFILE")
		return 2
	}
	s := hibernate.Running(args[1])
	if args[0] == "watch" {
		fmt.Fprintf(stderr, "mkimage-hibernate: %v\n", s.Watch(stdout))
		return 1
	}
	line, err := s.Check()
	if err != nil {
		fmt.Fprintf(stderr, "hibernation refused: %v\n", err)
		return 1
	}
	fmt.Fprintln(stdout, line)
	return 0
}
