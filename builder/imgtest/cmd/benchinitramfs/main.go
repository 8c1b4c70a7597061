// Command benchinitramfs measures our initramfs against those of
// initramfs-tools and dracut, for the kernel of the reference userland.
//
// All three take the same system. The two others run as they do for their
// users, inside it, with their defaults for an image that boots anywhere
// (MODULES=most, no hostonly) and once with the modules that ours takes; dracut
// is the one of this machine. Every figure is of a whole process; a run is cold
// when the page cache was dropped before it, and warm when it follows another.
//
// It prints Markdown and ends with status 1 when a target is missed. It needs
// root, and a machine that does nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
	"github.com/6FaNcY9/mkimage/profiles"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("benchinitramfs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rounds := flags.Int("rounds", 3, "rounds in which all cases take turns")
	profile := flags.String("profile", "bandit-minimal", "profile that says what goes into ours")
	ours := flags.String("ours", "", "build ours of the system in this directory, as the measured process does, and end")
	dracut := flags.String("dracut", "", "make dracut's initramfs that boots anywhere in this file, and end")
	output := flags.String("o", "initramfs.img", "file that -ours writes")
	if err := flags.Parse(args); err != nil || *rounds < 1 {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	met := true
	switch {
	case *ours != "":
		err = buildOurs(ctx, *ours, *profile, *output)
	case *dracut != "":
		err = withContenders(ctx, *profile, stderr, func(cs []*contender) error { return makeDracut(ctx, cs, *dracut) })
	default:
		err = withContenders(ctx, *profile, stderr, func(cs []*contender) error {
			err := race(ctx, cs, *rounds, stderr)
			met = err == nil && report(stdout, cs)
			return err
		})
	}
	if err != nil {
		fmt.Fprintf(stderr, "benchinitramfs: error: %v\n", err)
	}
	if err != nil || !met {
		return 1
	}
	return 0
}

// withContenders calls do with all that can be run, while their system is
// there.
func withContenders(ctx context.Context, profile string, log io.Writer, do func([]*contender) error) (err error) {
	p, _, err := profiles.Load().Resolve(profile, nil)
	if err != nil {
		return err
	}
	tree, err := userland.Build(ctx, log)
	if err != nil {
		return err
	}
	scratch, err := tree.Scratch()
	if err != nil {
		return err
	}
	s, err := openSystem(tree.Dir, scratch)
	defer func() {
		// What is still mounted there, /dev too, would be removed with it.
		cerr := s.close()
		if cerr == nil {
			cerr = os.RemoveAll(scratch)
		}
		err = errors.Join(err, cerr)
	}()
	if err != nil {
		return err
	}
	contenders, err := s.contenders(tree.Dir, scratch, profile, p.Initramfs.Modules)
	if err != nil {
		return err
	}
	return do(contenders)
}

// makeDracut keeps what dracut makes for any machine.
func makeDracut(ctx context.Context, cs []*contender, output string) error {
	for _, c := range cs {
		if c.name != dracutAnywhere {
			continue
		}
		if _, _, err := c.run(ctx); err != nil {
			return err
		}
		data, err := os.ReadFile(c.output)
		if err != nil {
			return err
		}
		return os.WriteFile(output, data, 0o644)
	}
	return fmt.Errorf("%s: not among what can be run", dracutAnywhere)
}
