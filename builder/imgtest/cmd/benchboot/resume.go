package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// The machine that hibernates: its disk, to which the first boot grows the
// image, in bytes, and its memory in MiB.
const (
	sleeperDisk   = 20 << 30
	sleeperMemory = 1024
)

// wake is one start of a machine, in seconds.
type wake struct {
	answers float64 // from power-on until its system answers
	decided float64 // of that, what it took to decide whether to resume
}

// sleeper is a machine that is started, hibernated and started again.
type sleeper struct {
	config          qemutests.Config
	booted, resumed []wake
}

// resumes measures a normal boot and a resume, in turns. Both begin with the
// firmware, and with the same system.
func (b *bench) resumes(ctx context.Context, out io.Writer) error {
	disk := filepath.Join(b.scratch, "sleeper.img")
	if _, err := command(ctx, "cp", "--sparse=always", b.image, disk); err != nil {
		return err
	}
	if err := os.Truncate(disk, sleeperDisk); err != nil {
		return err
	}
	s := sleeper{config: qemutests.Config{
		Name: "sleeper", Agent: true, Dir: b.scratch, Memory: sleeperMemory,
		Disks: []qemutests.Disk{{File: disk, Write: true}},
	}}
	first, _, err := s.start(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(first.off(ctx), first.Close()); err != nil {
		return err
	}
	for round := range b.rounds {
		if err := s.round(ctx); err != nil {
			return err
		}
		fmt.Fprintf(b.log, "round %d of %d: booted in %.2f s, resumed in %.2f s\n", round+1, b.rounds, s.booted[round].answers, s.resumed[round].answers)
	}
	reportResumes(out, s.booted, s.resumed)
	return nil
}

// machine is one that runs.
type machine struct{ *qemutests.VM }

// round boots the machine, hibernates it and resumes it.
func (s *sleeper) round(ctx context.Context) error {
	m, booted, err := s.start(ctx)
	if err != nil {
		return err
	}
	before, err := m.sleep(ctx)
	if err := errors.Join(err, m.Close()); err != nil {
		return err
	}
	m, resumed, err := s.start(ctx)
	if err != nil {
		return err
	}
	after, err := m.Output(ctx, bootID)
	if err == nil && after != before {
		err = fmt.Errorf("boot id %s, expected %s: the machine did not resume", after, before)
	}
	s.booted, s.resumed = append(s.booted, booted), append(s.resumed, resumed)
	return errors.Join(err, m.off(ctx), m.Close())
}

// decision is the line of mkimage-init with the time that it took.
var decision = regexp.MustCompile(`mkimage-init: \S+ resume .*decided in ([0-9.]+)ms`)

// start switches the machine on and waits for its system.
func (s *sleeper) start(ctx context.Context) (m machine, w wake, err error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	began := time.Now()
	// The machine lives longer than this context.
	if m.VM, err = qemutests.Start(context.WithoutCancel(ctx), s.config); err != nil {
		return m, w, err
	}
	if err := m.WaitAgent(ctx); err != nil {
		return m, w, errors.Join(err, m.Close())
	}
	w.answers = time.Since(began).Seconds()
	if w.decided, err = decided(m.Console.Seen(decision)); err != nil {
		return m, w, errors.Join(err, m.Close())
	}
	return m, w, nil
}

// decided returns the seconds in a match of decision.
func decided(match []string) (float64, error) {
	if match == nil {
		return 0, errors.New("console: no line of mkimage-init about resuming")
	}
	ms, err := strconv.ParseFloat(match[1], 64)
	return ms / 1000, err
}

const bootID = "cat /proc/sys/kernel/random/boot_id"

// sleep hibernates the machine, which ends in it being off, and returns the id
// of the boot that is asleep.
func (m machine) sleep(ctx context.Context) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	id, err = m.Output(ctx, "systemctl is-system-running --wait >/dev/null; systemd-run --quiet --on-active=1 systemctl hibernate; "+bootID)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(id), m.Wait(ctx)
}

func (m machine) off(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	return m.PowerDown(ctx)
}

// reportResumes prints the two ways to start side by side.
func reportResumes(w io.Writer, booted, resumed []wake) {
	answers := func(w wake) float64 { return w.answers }
	decided := func(w wake) float64 { return 1000 * w.decided }
	fmt.Fprintf(w, "\n| start | power-on until the system answers, s | decision whether to resume, ms (min-max) |\n|---|---|---|\n")
	for _, c := range []struct {
		name  string
		wakes []wake
	}{{"normal boot", booted}, {"resume", resumed}} {
		fmt.Fprintf(w, "| %s | %.2f | %.0f (%.0f-%.0f) |\n", c.name, median(c.wakes, answers), median(c.wakes, decided),
			extreme(c.wakes, slices.Min, decided), extreme(c.wakes, slices.Max, decided))
	}
}
