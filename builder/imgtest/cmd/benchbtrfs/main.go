// Command benchbtrfs measures mkimage mkfs against the programs that people
// use today: mkfs.btrfs --rootdir, tar and mkfs.btrfs, and zstd of the same
// bytes as the floor. Every figure is of whole processes, in rounds in which
// all cases take turns, on the reference userland of the tests.
//
// It prints Markdown and ends with status 1 when a target is missed. It needs
// root, because the reference userland has owners and device nodes, and the
// figures only mean something on a machine that does nothing else.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// bench is one run of the command.
type bench struct {
	rounds   int
	parts    []string
	dir      string // scratch
	mkimage  string
	counts   []int // files of the synthetic archives
	userland userland.Userland
	log      io.Writer
}

// allParts are what -parts may name.
var allParts = []string{"speed", "onecore", "small"}

func run(args []string, stdout, stderr io.Writer) int {
	b := bench{log: stderr}
	flags := flag.NewFlagSet("benchbtrfs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&b.rounds, "rounds", 5, "counted rounds; one more comes first to fill the page cache")
	parts := flags.String("parts", strings.Join(allParts, ","), "what to measure")
	flags.StringVar(&b.dir, "dir", "", "scratch directory, on the file system to be measured; default: a temporary one beside the reference userland")
	flags.StringVar(&b.mkimage, "mkimage", "", "program to measure; default: built from the project")
	counts := flags.String("files", "10000,100000,1000000", "how many small files the part small packs")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	b.parts = strings.Split(*parts, ",")
	for n := range strings.SplitSeq(*counts, ",") {
		var v int
		if _, err := fmt.Sscan(n, &v); err != nil || v < 1 {
			fmt.Fprintf(stderr, "benchbtrfs: error: -files %q: expected numbers above 0\n", *counts)
			return 2
		}
		b.counts = append(b.counts, v)
	}
	for _, p := range b.parts {
		if !slices.Contains(allParts, p) || b.rounds < 1 {
			fmt.Fprintf(stderr, "benchbtrfs: error: part %q, rounds %d: expected parts of %q and at least one round\n", p, b.rounds, allParts)
			return 2
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	met, err := b.measureAll(ctx, stdout)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "benchbtrfs: error: %v\n", err)
		return 1
	case !met:
		return 1
	}
	return 0
}

// measureAll prints every part that was asked for and reports whether all
// targets were met.
func (b *bench) measureAll(ctx context.Context, out io.Writer) (met bool, err error) {
	if b.userland, err = userland.Build(ctx, b.log); err != nil {
		return false, err
	}
	made, err := b.prepare(ctx)
	defer os.RemoveAll(made)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "%d processors, %s, load before: %s\n", runtime.NumCPU(), runtime.GOARCH, loadAverage())
	var targets []target
	for _, part := range b.parts {
		var ts []target
		switch part {
		case "speed":
			ts, err = b.speed(ctx, out)
		case "onecore":
			ts, err = b.oneCore(ctx, out)
		case "small":
			ts, err = b.small(ctx, out)
		}
		if err != nil {
			return false, err
		}
		targets = append(targets, ts...)
	}
	fmt.Fprintf(out, "\nload after: %s\n", loadAverage())
	return printTargets(out, targets), nil
}

// prepare makes the scratch directory and the program; what it returns is to
// be removed.
func (b *bench) prepare(ctx context.Context) (made string, err error) {
	if b.dir == "" {
		made, err = b.userland.Scratch()
		if err != nil {
			return "", err
		}
		b.dir = made
	}
	if b.mkimage == "" {
		b.mkimage = filepath.Join(b.dir, "mkimage-measured")
		cmd := exec.CommandContext(ctx, "go", "build", "-o", b.mkimage, "github.com/6FaNcY9/mkimage/cmd/mkimage")
		cmd.Stderr = b.log
		if err := cmd.Run(); err != nil {
			return made, fmt.Errorf("go build: %w", err)
		}
	}
	return made, nil
}

func loadAverage() string {
	s, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(s))[:3], " ")
}
