package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/initramfs/uevent"
	"github.com/6FaNcY9/mkimage/profiles"
)

func newMachine(p *program) *cobra.Command {
	return &cobra.Command{
		Use:    "machine",
		Short:  "keep the rescue environment of a medium",
		Hidden: true, // mkimage-init runs it
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyHere("machine", "mkimage-rescue menu"); err != nil {
				return err
			}
			p.started = true
			return keep(cmd.Context())
		},
	}
}

// keeper is a machine that was started into the rescue environment. Whatever it does
// goes on by itself: a person at a menu waits for nothing of it.
type keeper struct {
	self   string // this program
	log    *journal
	board  *board
	rescue profiles.Rescue // what is wanted
	made   time.Time       // when the medium was made, at the earliest
	clock  sync.Mutex      // held while a server is asked for the time, and once that is done
}

// keep shows a menu on every console and does the rest in the background, until ctx
// ends.
func keep(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := prepare(); err != nil {
		return err
	}
	host, planErr := planHere()
	log, err := openJournal(logPath)
	if err != nil {
		return err
	}
	defer log.close()
	m := &keeper{self: self, log: log, board: &board{path: statePath}}
	if planErr != nil { // without network, but with all that is on the disks
		m.log.printf("%v", planErr)
		m.show("plan", "no network and no SSH: "+planErr.Error())
	} else if host != nil && host.Medium != nil {
		m.rescue, m.made = host.Medium.Rescue, host.Epoch
	}
	duties := map[string]func(context.Context) error{"disks": m.lookAtDisks, "network": m.network, "ssh": m.ssh}
	for _, node := range terminal.Consoles() {
		duties[node] = func(ctx context.Context) error { return m.menuOn(ctx, node) }
	}
	var all sync.WaitGroup
	for name, duty := range duties {
		all.Go(func() {
			if err := protect(func() error { return duty(ctx) }); err != nil && ctx.Err() == nil {
				m.log.printf("%s: %v", name, err)
				m.show(name, "failed: "+err.Error())
			}
		})
	}
	all.Wait()
	return ctx.Err()
}

// prepare makes what programs expect and the initramfs has not.
func prepare() error {
	if err := os.Setenv("PATH", searchPath); err != nil {
		return err
	}
	for dir, mode := range map[string]os.FileMode{runDir: 0o755, "/tmp": 0o777 | os.ModeSticky, "/dev/pts": 0o755} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil {
			return err
		}
	}
	if err := terminals(); err != nil {
		return err
	}
	for _, name := range []string{problemsPath, statePath} { // of a run before
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// terminals mounts those of SSH and of tmux. A second mount would hide those that are
// open when this program is started again.
func terminals() error {
	const dir = "/dev/pts"
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil && st.Type == unix.DEVPTS_SUPER_MAGIC {
		return nil
	}
	if err := unix.Mount("devpts", dir, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=620,gid=5,ptmxmode=666"); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

// The pauses before a menu is started again: the first one, which doubles as long as it
// ends at once, and the longest.
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
	soon       = 5 * time.Second
)

// menuOn keeps a menu on a console. A console that fails is tried again: it may be one
// whose cable is plugged in later.
func (m *keeper) menuOn(ctx context.Context, node string) error {
	// The signal that ends the menu when this program ends is one for the end of the thread.
	runtime.LockOSThread()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		began := time.Now()
		err := m.showMenu(node)
		if time.Since(began) > soon {
			pause = firstPause
		}
		m.log.printf("%s: the menu ended: %v", node, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// showMenu runs a menu on a console and waits for it.
func (m *keeper) showMenu(node string) (err error) {
	console, err := os.OpenFile(node, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, console.Close()) }()
	cmd := exec.Command(m.self, "menu", "--stays")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + searchPath, "HOME=/", "TERM=" + terminal.Type(node)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = console, console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGHUP}
	return how(cmd.Run())
}

// quiet is how long no disk has to appear before the disks are looked at, and longest how
// long that is waited for. A disk on USB takes three seconds.
const (
	quiet   = 4 * time.Second
	longest = 20 * time.Second
)

// lookAtDisks looks once at what is wrong, for all menus.
func (m *keeper) lookAtDisks(ctx context.Context) error {
	if err := disksQuiet(ctx); err != nil {
		m.log.printf("disks: not waited for: %v", err)
	}
	return replaceFile(problemsPath, problems(ctx, m.self))
}

// disksQuiet waits until no disk has appeared for some time.
func disksQuiet(ctx context.Context) error {
	listener, err := uevent.Listen()
	if err != nil {
		return err
	}
	events := make(chan struct{})
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	go func() { // ends with the first event after the time
		for {
			ev, err := listener.Next()
			if err != nil && !errors.Is(err, uevent.ErrLost) {
				return
			}
			if err == nil && ev.Subsystem != "block" {
				continue
			}
			select {
			case events <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(quiet):
			return nil
		case <-events:
		}
	}
}
