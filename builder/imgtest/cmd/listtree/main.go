// Command listtree lists all that is to be kept of the files below a directory.
// It is for virtual machines: built with CGO_ENABLED=0 it needs nothing there.
package main

import (
	"fmt"
	"os"

	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: listtree DIR")
		os.Exit(2)
	}
	if err := listtree.List(os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "listtree: error: %v\n", err)
		os.Exit(1)
	}
}
