package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

func newReboot(p *program) *cobra.Command {
	return newPower(p, "reboot", "restart the machine", "restarts the machine", "systemctl reboot", unix.LINUX_REBOOT_CMD_RESTART)
}

func newPoweroff(p *program) *cobra.Command {
	return newPower(p, "poweroff", "turn the machine off", "turns the machine off", "systemctl poweroff", unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// newPower makes a command that ends the machine's time with the rescue environment.
func newPower(p *program, name, short, does, instead string, command int) *cobra.Command {
	var unmount bool
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long: fmt.Sprintf(`mkimage-rescue %s writes out what is to be written, and
%s. While a disk is mounted it asks first, and unmounts it.`, name, does),
		Example: "  mkimage-rescue " + name,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyHere(name, instead); err != nil {
				return err
			}
			p.started = true
			release, err := p.alone()
			if err != nil {
				return err
			}
			defer release()
			if unmount {
				return machinePower(strings.NewReader(unmountWord+"\n"), io.Discard).end(name, command)
			}
			return machinePower(cmd.InOrStdin(), p.stdout).end(name, command)
		},
	}
	cmd.Flags().BoolVar(&unmount, "unmount", false, "unmount what is mounted, without a question")
	return cmd
}

// unmountWord is what a person types to have disks unmounted.
const unmountWord = "unmount"

// power ends the machine's time.
type power struct {
	mounts  func() ([]mountinfo.Mount, error)
	unmount func(point string) error
	sync    func()
	reboot  func(command int) error
	in      io.Reader // answers
	out     io.Writer // questions
}

// patience is how long a disk may take to be written out: one that does not answer must
// not keep the machine from its end.
const patience = 10 * time.Second

// machinePower is that of this machine.
func machinePower(in io.Reader, out io.Writer) *power {
	return &power{
		mounts: mountinfo.Self, unmount: func(point string) error { return unix.Unmount(point, unix.UMOUNT_NOFOLLOW) },
		sync: func() { within(patience, unix.Sync) }, reboot: unix.Reboot, in: in, out: out,
	}
}

// within returns when f has ended or the time is over.
func within(limit time.Duration, f func()) {
	ended := make(chan struct{})
	go func() {
		f()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(limit):
	}
}

// end unmounts what is mounted, if that is agreed to, and does it.
func (p *power) end(name string, command int) error {
	all, err := p.mounts()
	if err != nil {
		return err
	}
	if points := ofDisks(all); len(points) > 0 {
		fmt.Fprintf(p.out, "Mounted: %s\nType %q and Enter to unmount and %s; anything else leaves it: ", strings.Join(points, ", "), unmountWord, name)
		answer, err := bufio.NewReader(p.in).ReadString('\n')
		if strings.TrimSpace(answer) != unmountWord {
			if err != nil && err != io.EOF {
				return err
			}
			return fault.New(fault.Target, "mkimage-rescue "+name+" --unmount", "%s: %s is mounted, and nobody agreed to unmount", name, points[0])
		}
		if err := p.unmountAll(points); err != nil {
			return err
		}
	}
	p.sync()
	return p.reboot(command)
}

// unmountAll unmounts the last of the points first.
func (p *power) unmountAll(points []string) error {
	var failed []error
	for _, point := range slices.Backward(points) {
		if err := p.unmount(point); err != nil {
			failed = append(failed, fault.New(fault.Target, "end what uses it: shells, what was entered", "%s: %w", point, err))
		}
	}
	return errors.Join(failed...)
}

// ofDisks returns where file systems on devices are mounted, in an order in which each
// is behind what it is mounted in.
func ofDisks(all []mountinfo.Mount) []string {
	var points []string
	for _, m := range all {
		if strings.HasPrefix(m.Source, "/dev/") && m.Type != "devtmpfs" {
			points = append(points, m.Point)
		}
	}
	if points == nil {
		return nil
	}
	// What is mounted within such a file system keeps it from being unmounted, whatever it is.
	for _, m := range all {
		if !slices.Contains(points, m.Point) && slices.ContainsFunc(points, func(p string) bool { return strings.HasPrefix(m.Point, strings.TrimSuffix(p, "/")+"/") }) {
			points = append(points, m.Point)
		}
	}
	slices.SortStableFunc(points, func(a, b string) int { return cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")) })
	return points
}
