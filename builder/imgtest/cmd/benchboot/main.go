// Command benchboot measures what a user waits for: the stages of a build of
// an image, and how long a machine takes from the start of its kernel to the
// start of the system, with our initramfs and with those of initramfs-tools and
// dracut for the same kernel, disk, command line and machine.
//
// All three are timed by one clock: the moment at which the system's systemd
// was executed, which it keeps itself (UserspaceTimestampMonotonic) and which is
// counted from the start of the kernel. An initramfs with a systemd of its own
// does not count there. Loading the files into memory, which is the firmware's
// work, is not in the figure.
//
// It prints Markdown and ends with status 1 when a target is missed. It needs
// root, QEMU, dracut, and a machine that does nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("benchboot", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rounds := flags.Int("rounds", 3, "builds, and boots of each initramfs, which take turns")
	profile := flags.String("profile", "bandit-minimal", "profile of the image")
	if err := flags.Parse(args); err != nil || *rounds < 1 {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	met, err := measure(ctx, *rounds, *profile, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "benchboot: error: %v\n", err)
	}
	if err != nil || !met {
		return 1
	}
	return 0
}

// measure prints the results and reports whether all targets were met.
func measure(ctx context.Context, rounds int, profile string, out, log io.Writer) (met bool, err error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return false, err
	}
	userland, err := imgtest.BuildReference(ctx, log)
	if err != nil {
		return false, err
	}
	// .cache/reference/KEY/root: the cache is three steps up.
	scratch, err := os.MkdirTemp(filepath.Join(userland.Dir, "../../.."), "bench-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	for _, program := range []string{"./cmd/mkimage", "./builder/imgtest/cmd/benchinitramfs"} {
		if _, err := command(ctx, "go", "build", "-o", scratch+"/", program); err != nil {
			return false, err
		}
	}
	image := filepath.Join(scratch, "disk.img")
	builds, err := buildImages(ctx, rounds, []string{filepath.Join(scratch, "mkimage"), "build", profile, "--source", "tar:" + userland.Tar, "-o", image, "--json"}, image)
	if err != nil {
		return false, err
	}
	entry, err := unpackESP(image, scratch)
	if err != nil {
		return false, err
	}
	cases, err := contenders(ctx, userland.Dir, scratch, entry)
	if err != nil {
		return false, err
	}
	if err := race(ctx, cases, rounds, entry, image, log); err != nil {
		return false, err
	}
	fmt.Fprintf(out, "Load of the machine before: %s. Rounds: %d, medians.\n\n", strings.Fields(string(load))[0], rounds)
	reportBuilds(out, builds)
	return reportBoots(out, cases), nil
}

// command runs a program and returns what it prints on standard output; what it
// prints elsewhere is part of its error.
func command(ctx context.Context, argv ...string) ([]byte, error) {
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return []byte(stdout.String()), nil
}
