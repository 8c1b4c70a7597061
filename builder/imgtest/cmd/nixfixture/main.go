// Command nixfixture makes the system in the shape of NixOS that tests boot, in the
// project's cache, unless it is there, and prints where its parts are.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture"
)

func main() {
	os.Exit(run(os.Stdout, os.Stderr))
}

func run(stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, kind := range []nixfixture.Stage1{nixfixture.Scripted, nixfixture.Systemd} {
		f, err := nixfixture.Build(ctx, stderr, nixfixture.Options{Stage1: kind})
		if err != nil {
			fmt.Fprintf(stderr, "nixfixture: error: %v\n", err)
			return 1
		}
		if kind == nixfixture.Scripted {
			fmt.Fprintf(stdout, "cache %s\nstore %s\nkey %s\n", f.Cache, f.Store, f.Key)
		}
		fmt.Fprintf(stdout, "%s %s\n", kind, f.Toplevel)
	}
	return 0
}
