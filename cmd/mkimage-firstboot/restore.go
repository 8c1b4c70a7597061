package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/firstboot/restore"
)

func newRestore(s *system) *cobra.Command {
	anySize := false
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "restore what the profile says from the backup, or go on with it",
		Long: `restore fills the directory that the profile names, such as /home, from the newest
backup of this machine, and proves that the disk has it. It can be interrupted at
any time, also by a power cut: the next run goes on with the same backup. Data that
is there already is never touched; the backup of it is then put beside it.

mkimage-restore.service runs it when the backup disk is there. When all is
restored it does nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.restore(cmd.Context(), anySize) },
	}
	cmd.Flags().BoolVar(&anySize, "any-size", false, "try it even if it may not fit: sparse files take less than their size")
	return cmd
}

// sayEvery is how often a restore tells the console how far it is: systemctl
// status has it every second.
const sayEvery = 10 * time.Second

func (s *system) restore(ctx context.Context, anySize bool) error {
	c, err := s.config()
	if err != nil {
		return err
	}
	if c.Restore == nil {
		return firstboot.NewProblem(firstboot.CodeNotYet, "nothing is to be restored", "the profile of this system has no backup to restore")
	}
	if err := s.begin(&c); err != nil {
		return err
	}
	var said time.Time
	stage := ""
	err = restore.Run(ctx, &c, restore.System{
		Root: s.root, AnySize: anySize,
		Log: func(line string) { fmt.Fprintln(s.out, line) },
		Progress: func(p restore.Progress) {
			line := progressLine(p)
			notify("STATUS=" + line)
			if now := time.Now(); p.Stage != stage || now.Sub(said) >= sayEvery {
				said, stage = now, p.Stage
				fmt.Fprintln(s.out, line)
			}
		},
	})
	if err == nil {
		err = s.restored(&c)
	} else if ctx.Err() == nil {
		err = s.record(&c, firstboot.StepRestore, err, "")
	}
	return err
}

// begin notes that the restore runs, for who asks meanwhile, unless it is done.
func (s *system) begin(c *firstboot.Config) error {
	state, err := firstboot.ReadState(s.files())
	if err != nil {
		return err
	}
	last, ok := state.Last(firstboot.StepRestore)
	if ok && last.Result == firstboot.Done && last.Image == c.Image {
		return nil
	}
	return state.Record(s.files(), firstboot.Step{
		Name: firstboot.StepRestore, Result: firstboot.Running, At: time.Now().UTC(), Image: c.Image, Message: c.Restore.Path + " is being restored",
	})
}

// restored takes away what was announced: the journal says already that it is
// done.
func (s *system) restored(c *firstboot.Config) error {
	state, err := firstboot.ReadState(s.files())
	if err != nil {
		return err
	}
	s.announce(c, state)
	if last, ok := state.Last(firstboot.StepRestore); ok {
		fmt.Fprintln(s.out, last.Message)
	}
	return nil
}

// progressLine is a progress for people.
func progressLine(p restore.Progress) string {
	line := fmt.Sprintf("%s: %s of %s, %d files", p.Stage, size(p.Done), size(p.Total), p.Files)
	if p.Rate > 0 {
		line += fmt.Sprintf(", %s/s, %s left", size(p.Rate), p.Left.Round(time.Second))
	}
	return line
}

// size is a number of bytes for people.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/(1<<10), 0
	for ; f >= 1<<10 && i < len(units)-1; i++ {
		f /= 1 << 10
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}

// notify tells systemd something, see sd_notify(3). Where nobody listens it
// does nothing.
func notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if name[0] == '@' { // an abstract socket
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state)) // a status that nobody gets is no failure
}
