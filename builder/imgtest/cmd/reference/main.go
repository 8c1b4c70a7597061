// Command reference builds the reference userland of the tests and benchmarks
// in the project's cache, unless it is there, and prints where its parts are.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

func main() {
	os.Exit(run(os.Stdout, os.Stderr))
}

func run(stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	u, err := userland.Build(ctx, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "reference: error: %v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "dir   %s\ntar   %s\nsplit %s\n", u.Dir, u.Tar, u.Split)
	return 0
}
