// Command benchboot measures what a user waits for: the stages of a build of
// an image, the making of an initramfs (by benchinitramfs), and how long a
// machine takes from the start of its kernel to the start of the system, with
// our initramfs and with those of initramfs-tools and dracut for the same
// kernel, disk, command line and machine; and how long it takes from power-on
// to a system that was hibernated, beside one that boots.
//
// All three boots are timed by one clock: the moment at which the system's systemd
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
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
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

// bench is one run.
type bench struct {
	rounds   int
	profile  string
	userland userland.Userland
	scratch  string // a folder, with the programs in it
	image    string // the last that was built
	log      io.Writer
}

// measure prints the results and reports whether all targets were met.
func measure(ctx context.Context, rounds int, profile string, out, log io.Writer) (met bool, err error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return false, err
	}
	b := bench{rounds: rounds, profile: profile, log: log}
	defer func() { err = errors.Join(err, os.RemoveAll(b.scratch)) }()
	if err := b.prepare(ctx); err != nil {
		return false, err
	}
	fmt.Fprintf(out, "Load of the machine before: %s. Rounds: %d, medians.\n\n", strings.Fields(string(load))[0], rounds)
	builds, err := buildImages(ctx, rounds, []string{b.program("mkimage"), "build", profile, "--source", "tar:" + b.userland.Tar, "-o", b.image, "--json"}, b.image)
	if err != nil {
		return false, err
	}
	reportBuilds(out, builds)
	small, err := b.initramfs(ctx, out)
	if err != nil {
		return false, err
	}
	fast, err := b.boots(ctx, out)
	if err != nil {
		return false, err
	}
	return small && fast, b.resumes(ctx, out)
}

// prepare makes the reference userland, the folder and the programs.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.userland, err = userland.Build(ctx, b.log); err != nil {
		return err
	}
	if b.scratch, err = b.userland.Scratch(); err != nil {
		return err
	}
	b.image = filepath.Join(b.scratch, "disk.img")
	for _, program := range []string{"./cmd/mkimage", "./builder/imgtest/cmd/benchinitramfs"} {
		if _, err := command(ctx, "go", "build", "-o", b.scratch+"/", program); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) program(name string) string { return filepath.Join(b.scratch, name) }

// initramfs lets benchinitramfs print its results, and reports whether its
// targets were met: its status is 1 then, and when it failed.
func (b *bench) initramfs(ctx context.Context, out io.Writer) (met bool, err error) {
	cmd := exec.CommandContext(ctx, b.program("benchinitramfs"), "-rounds", strconv.Itoa(b.rounds), "-profile", b.profile)
	cmd.Stdout, cmd.Stderr = out, b.log
	err = cmd.Run()
	fmt.Fprintln(out)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// boots starts the image with each initramfs, prints the results and reports
// whether the target was met.
func (b *bench) boots(ctx context.Context, out io.Writer) (met bool, err error) {
	e, err := unpackESP(b.image, b.scratch)
	if err != nil {
		return false, err
	}
	cases, err := b.contenders(ctx, e)
	if err != nil {
		return false, err
	}
	if err := race(ctx, cases, b.rounds, e, b.image, b.log); err != nil {
		return false, err
	}
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
