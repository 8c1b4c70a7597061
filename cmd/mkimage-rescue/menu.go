package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/rescue/menu"
)

// titles are the entries of the menu in its order, by the names of their commands. Those
// that there are no commands for are left out, and commands that are not here come last.
var titles = []struct{ name, title string }{
	{"recover", "bring everything back: system, key, home"},
	{"home", "bring the home back from the backup"},
	{"browse", "look into a backup"},
	{"copy", "copy files out of a backup or a snapshot"},
	{"key", "bring the key back"},
	{"rollback", "roll the system back to a snapshot, or to how it was built"},
	{"generation", "go back to an older generation"},
	{"boot", "repair what starts the machine"},
	{"swapfile", "make the swapfile anew"},
	{"check", "check disks, file systems and the backup"},
	{"save", "save what can be read of a failing disk"},
	{"enter", "enter the system as if it were running"},
	{"wifi", "give the passphrase of the wireless network"},
	{"inventory", "say what is there, and what is wrong with it"},
	{"shell", "a shell"},
	{"reboot", "restart the machine"},
	{"poweroff", "turn the machine off"},
}

// leftOut are the commands that the menu does without: on a medium, and elsewhere.
func leftOut() []string {
	switch host, err := planHere(); {
	case !isHere():
		return []string{"reboot", "poweroff", "wifi"}
	case err != nil || !closedWiFi(host):
		return []string{"wifi"}
	}
	return nil
}

func newMenu(p *program) *cobra.Command {
	var stays bool
	cmd := &cobra.Command{
		Use:   "menu",
		Short: "show the menu",
		Long: `mkimage-rescue menu shows what is wrong, and the commands of this program as a
menu. What is chosen runs as a process of its own; Ctrl-C ends that, and leads
back to the menu.

On a medium it is on every console. Of the commands that write to disks one
runs at a time, wherever it was started; those that only look run beside it.`,
		Example: `  mkimage-rescue menu`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.started = true
			c, err := newConsole()
			if err != nil {
				return err
			}
			ctx, stop := untouched(cmd.Context())
			defer stop()
			m := menu.Menu{
				Program: cmd.Root().Name(), Entries: entriesOf(cmd.Root(), leftOut()), In: cmd.InOrStdin(), Out: p.stdout,
				State: state, Found: found(ctx, c.self), Run: c.run, Rows: p.rows(), Stays: stays,
			}
			return m.Loop(ctx)
		},
	}
	cmd.Flags().BoolVar(&stays, "stays", false, "the console is one of the machine")
	_ = cmd.Flags().MarkHidden("stays") // what it is for the machine starts itself
	return cmd
}

// untouched is a context that keys do not end: they are for the entry that runs. A terminal
// that is gone ends it, and so does the end of who started the menu.
func untouched(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(parent), syscall.SIGTERM, syscall.SIGHUP)
	keys := make(chan os.Signal, 1) // caught and not ignored: programs that are started would inherit that
	signal.Notify(keys, syscall.SIGINT, syscall.SIGQUIT)
	return ctx, func() {
		signal.Stop(keys)
		stop()
	}
}

// entriesOf makes the menu of the commands of a program without some of them.
func entriesOf(root *cobra.Command, without []string) []menu.Entry {
	var list, more []menu.Entry
	for _, t := range titles {
		c, _, err := root.Find([]string{t.name})
		if err != nil || c == root || slices.Contains(without, t.name) {
			continue
		}
		list = append(list, menu.Entry{Title: t.title, Command: []string{t.name}, Explain: paragraph(c.Long)})
	}
	for _, c := range root.Commands() {
		known := slices.ContainsFunc(titles, func(t struct{ name, title string }) bool { return t.name == c.Name() })
		if known || !c.IsAvailableCommand() || c.Name() == "menu" || c.Name() == "help" {
			continue
		}
		more = append(more, menu.Entry{Title: c.Short, Command: []string{c.Name()}, Explain: paragraph(c.Long)})
	}
	return append(list, more...)
}

// paragraph returns the first paragraph of a text.
func paragraph(text string) string {
	first, _, _ := strings.Cut(text, "\n\n")
	return first
}

// state returns what the machine knows of itself, on a medium.
func state() []string {
	text, err := os.ReadFile(statePath)
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}

// lookAgain is how often it is looked whether the machine has looked at its disks.
const lookAgain = 300 * time.Millisecond

// found hands in what is wrong with the disks, which the machine has looked at once for
// all its menus; elsewhere they are looked at now.
func found(ctx context.Context, self string) <-chan string {
	c := make(chan string, 1)
	go func() {
		if !isHere() {
			c <- problems(ctx, self)
			return
		}
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for {
			if text, err := os.ReadFile(problemsPath); err == nil {
				c <- string(text)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return c
}

// problems looks at the disks, in a process of its own.
func problems(ctx context.Context, self string) string {
	cmd := exec.CommandContext(ctx, self, "inventory", "--problems")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // keys are not for it
	text, err := cmd.CombinedOutput()
	if err != nil {
		return string(text) + "The disks could not be looked at: " + how(err).Error()
	}
	return string(text)
}

// rows returns the height of the terminal, 0 where that is not known.
func (p *program) rows() int {
	if f, ok := p.stdout.(interface{ Fd() uintptr }); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			return int(size.Row)
		}
	}
	return 0
}
