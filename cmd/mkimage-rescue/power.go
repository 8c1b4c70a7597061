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
	var interrupt int
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long: fmt.Sprintf(`mkimage-rescue %s writes out what is to be written, and
%s. While a disk is mounted it asks first, and unmounts it.

While a command writes to disks it is refused. --interrupt PID ends that
command, waits for it, and goes on also where it hangs, as on a disk that
answers no more: what can be unmounted is unmounted, without a question.`, name, does),
		Example: "  mkimage-rescue " + name,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyHere(name, instead); err != nil {
				return err
			}
			p.started = true
			last := lastCommand{name: name, lock: p.lock, interrupt: interrupt, kill: unix.Kill, patience: holderPatience, out: p.stdout}
			release, err := last.take(cmd.Context())
			if err != nil {
				return err
			}
			defer release()
			power := machinePower(cmd.InOrStdin(), p.stdout)
			if unmount {
				power.in, power.out = strings.NewReader(unmountWord+"\n"), io.Discard
			}
			if interrupt != 0 {
				power.insist()
			}
			return power.end(name, command)
		},
	}
	cmd.Flags().IntVar(&interrupt, "interrupt", 0, "end the command of process `PID`, which writes to disks, and go on whatever fails")
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
	insists bool      // nobody is asked, and no error holds it up
}

// patience is how long a disk may take to be written out: one that does not answer must
// not keep the machine from its end.
const patience = 10 * time.Second

// machinePower is that of this machine.
func machinePower(in io.Reader, out io.Writer) *power {
	return &power{
		mounts: mountinfo.Self, unmount: func(point string) error { return unix.Unmount(point, unix.UMOUNT_NOFOLLOW) },
		sync: func() { _ = within(patience, func() error { unix.Sync(); return nil }) }, reboot: unix.Reboot, in: in, out: out,
	}
}

// errHangs says that something has not ended in time.
var errHangs = errors.New("does not end")

// within returns what f returns, or errHangs when the time is over.
func within(limit time.Duration, f func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(limit):
		return errHangs
	}
}

// insist makes it go on past all that fails or hangs.
func (p *power) insist() {
	unmount := p.unmount
	p.insists = true
	p.unmount = func(point string) error {
		return within(patience, func() error { return unmount(point) })
	}
}

// end unmounts what is mounted, if that is agreed to, and does it.
func (p *power) end(name string, command int) error {
	all, err := p.mounts()
	if err != nil && !p.insists {
		return err
	}
	if p.insists {
		p.sync()
		if err := p.unmountAll(ofDisks(all)); err != nil {
			fmt.Fprintf(p.out, "%v\n", err)
		}
	} else if points := ofDisks(all); len(points) > 0 {
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
