package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/efivar"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/flash"
	"github.com/6FaNcY9/mkimage/installer/rescue/backup"
	"github.com/6FaNcY9/mkimage/installer/rescue/mounted"
	"github.com/6FaNcY9/mkimage/installer/rescue/unlock"
)

// do installs, unless that is done, and brings key and home into the system.
func (j *rescuing) do(ctx context.Context) error {
	if !j.has {
		if err := j.step("install", func() error { return j.install(ctx) }); err != nil {
			return err
		}
		j.made.Installed = true
	}
	j.bootEntry() // also of a run that was cut before it
	if j.desk.key == nil && j.Opened == nil {
		return nil
	}
	if err := j.lookAgain(ctx); err != nil {
		return err
	}
	var err error
	if j.system, err = j.m.System(j.target.Path); err != nil {
		return err
	}
	if err := j.needSystem(); err != nil {
		return err
	}
	if j.Opened != nil {
		if err := j.mountBackup(ctx); err != nil { // where it was
			return err
		}
	}
	return j.fill(ctx)
}

// lookAgain takes the inventory anew, and refuses to go on unless the disk is the one that
// was agreed to, and has what the medium installs.
func (j *rescuing) lookAgain(ctx context.Context) error {
	before := disks.PinOf(j.target)
	if err := j.m.Again(ctx); err != nil {
		return err
	}
	now, err := j.m.Disk(j.target.Path)
	if err != nil {
		return err
	}
	if disks.PinOf(*now) != before {
		return fault.New(fault.Target, "run it again", "%s: another disk is there now than the one that was agreed to", j.target.Path)
	}
	has, err := j.installed(*now)
	if err == nil && !has {
		err = fault.New(fault.Target, "run it again", "%s: has not what this medium installs", j.target.Path)
	}
	return err
}

// fill brings key and home into the system that is installed.
func (j *rescuing) fill(ctx context.Context) (err error) {
	sys, err := j.m.Mount(ctx, withoutESP(j.system), false, func(line string) { j.p.note("%s", line) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.m.Close()) }()
	if err := sys.Grow(); err != nil {
		return err
	}
	if found := j.desk.key; found != nil {
		j.made.Key = &broughtKey{From: found.Where, Recipients: found.Key.Recipients(), To: j.keyPath()}
		if err := j.step(partKey, func() error { return j.installKey(sys, found, j.made.Key) }); err != nil {
			return err
		}
	}
	if j.Opened == nil {
		return nil
	}
	done, err := homeIsDone(sys)
	if err != nil {
		return err
	}
	if done {
		j.p.note("the home was brought back before")
		return nil
	}
	_, path := j.owner()
	j.made.Home = &broughtBack{System: j.system.ID}
	return j.step(partHome, func() error {
		began := time.Now()
		err := j.fillHome(ctx, backup.HomeRequest{Root: sys.Dir, Path: path, Snapshot: j.snapshot.ID}, j.made.Home)
		j.made.Home.Seconds = time.Since(began).Seconds()
		return err
	})
}

// homeIsDone reports whether the journal of the first boot says that the home is restored.
func homeIsDone(sys *mounted.System) (bool, error) {
	v, err := unlock.FindVault(sys.Dir, "")
	if v == nil || err != nil {
		return false, err
	}
	state, err := firstboot.ReadState(durable.OS(sys.Dir))
	if err != nil {
		return false, err
	}
	last, ok := state.Last(firstboot.StepRestore)
	return ok && last.Result == firstboot.Done && last.Image == v.Config.Image, nil
}

// installEvent is a line that the installer prints.
type installEvent struct {
	Event, Title, Error, Hint string
	Done, Total               int64
	Code                      int
}

// stopPatience is how long the installer may take to end when it is interrupted.
const stopPatience = 30 * time.Second

// install runs the installer of the stick. It checks the medium first, and reads back what
// it has written.
func (j *rescuing) install(ctx context.Context) error {
	program, err := j.p.tool(config.InstallProgram)
	if err != nil {
		return err
	}
	if err := j.m.Close(); err != nil { // the disk is used by nobody
		return err
	}
	// A child is told when the thread ends that started it, not the process. Whoever kills
	// us does not leave an installer behind that writes without the lock.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, program, "--from", j.stickAt, "--to", j.target.Path, "--key", j.publicKey(), "--erase", flash.Word(j.target), "--json")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	failed := j.follow(out)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed != nil:
		return failed
	case err != nil:
		return fault.New(fault.Internal, "", "installer: %w: %s", err, lastLine(said.String()))
	}
	return nil
}

// follow shows what the installer tells, and returns the error that it tells of.
func (j *rescuing) follow(out io.Reader) (failed error) {
	tell, end := func(int64, int64) {}, func() {}
	defer func() { end() }()
	lines := json.NewDecoder(out)
	for {
		var e installEvent
		if err := lines.Decode(&e); err != nil {
			_, _ = io.Copy(io.Discard, out) // so that it is not held up
			return failed
		}
		switch {
		case e.Event == "error":
			failed = fault.New(fault.Class(e.Code), e.Hint, "installer: %s", e.Error)
		case e.Event == "step" && e.Title != "":
			end()
			tell, end = j.p.progress(e.Title)
		case e.Event == "step" && e.Total > 0:
			tell(e.Done, e.Total)
		}
	}
}

// bootEntry puts the installed system first in the boot menu of the firmware. The fallback
// loader is in place: whatever fails here is only a note.
func (j *rescuing) bootEntry() {
	if !isHere() || len(j.images) > 0 {
		return // the firmware is another machine's
	}
	err := j.writeBootEntry()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.p.note("boot entry: %v", err)
		j.p.note("The disk starts without it where the firmware looks for %s.", bls.FallbackPath)
	}
}

func (j *rescuing) writeBootEntry() error {
	vars, err := efivar.Open(efivar.Mount)
	if err != nil {
		return err
	}
	disk, err := os.Open(j.target.Path)
	if err != nil {
		return err
	}
	defer disk.Close()
	table, _, err := gpt.Read(disk, j.target.Size)
	if err != nil {
		return err
	}
	esp := table.Partitions[0]
	return vars.AddInstalled(efivar.Installed(j.made.Profile, *table, esp, append(present(j.m.Inventory.Disks), esp.GUID)))
}
