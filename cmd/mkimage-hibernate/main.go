// Command mkimage-hibernate keeps hibernation to a swapfile on btrfs possible
// in a running system.
//
//	mkimage-hibernate watch SWAPFILE    tell the kernel the place of SWAPFILE, now and when it changes
//	mkimage-hibernate check SWAPFILE    do so once; exit status 1 when hibernation cannot end well
//	mkimage-hibernate prepare SWAPFILE  the same, and leave a note for the boot that follows
//	mkimage-hibernate woken SWAPFILE    remove that note
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

// commands are what can be done, with what went before an error of each.
var commands = map[string]struct {
	run   func(s *hibernate.System, stdout io.Writer) error
	fails string
}{
	"watch":   {func(s *hibernate.System, stdout io.Writer) error { return s.Watch(stdout) }, "mkimage-hibernate"},
	"check":   {func(s *hibernate.System, stdout io.Writer) error { return say(stdout)(s.Check()) }, "hibernation refused"},
	"prepare": {func(s *hibernate.System, stdout io.Writer) error { return say(stdout)(s.Prepare()) }, "hibernation refused"},
	"woken":   {func(s *hibernate.System, _ io.Writer) error { return s.Woken() }, "mkimage-hibernate"},
}

func say(stdout io.Writer) func(line string, err error) error {
	return func(line string, err error) error {
		if err == nil {
			fmt.Fprintln(stdout, line)
		}
		return err
	}
}

// run returns the exit status: 0, 1 for a refusal, 2 for wrong arguments.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 2 {
		if c, ok := commands[args[0]]; ok {
			if err := c.run(hibernate.Running(args[1]), stdout); err != nil {
				fmt.Fprintf(stderr, "%s: %v\n", c.fails, err)
				return 1
			}
			return 0
		}
	}
	fmt.Fprintln(stderr, "usage: mkimage-hibernate watch|check|prepare|woken SWAPFILE")
	return 2
}
