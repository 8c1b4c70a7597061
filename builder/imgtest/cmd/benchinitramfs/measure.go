package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// contender is one way to make an initramfs, and what its runs took.
type contender struct {
	name       string
	anywhere   bool // boots on any machine, as ours does: its size is a target
	argv       []string
	output     string
	size       int64     // bytes of the archive
	cold, warm []float64 // wall time in seconds
	cpu        []float64 // processor time of the warm runs in seconds
}

// race runs the contenders in turns: each cold, and warm behind it.
func race(ctx context.Context, cs []*contender, rounds int, log io.Writer) error {
	for round := range rounds {
		for _, c := range cs {
			if err := dropCaches(); err != nil {
				return err
			}
			cold, _, err := c.run(ctx)
			if err != nil {
				return err
			}
			warm, cpu, err := c.run(ctx)
			if err != nil {
				return err
			}
			c.cold, c.warm, c.cpu = append(c.cold, cold), append(c.warm, warm), append(c.cpu, cpu)
			fmt.Fprintf(log, "round %d of %d: %s: %.2f s, %.2f s\n", round+1, rounds, c.name, cold, warm)
		}
	}
	return nil
}

// dropCaches makes the kernel forget what it read (Documentation/admin-guide/sysctl/vm.rst).
func dropCaches() error {
	unix.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0)
}

func (c *contender) run(ctx context.Context) (wall, cpu float64, err error) {
	var messages bytes.Buffer
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Stdout, cmd.Stderr = &messages, &messages
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %s", strings.Join(c.argv, " "), err, strings.TrimSpace(messages.String()))
	}
	wall = time.Since(began).Seconds()
	cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	info, err := os.Stat(c.output)
	if err != nil {
		return 0, 0, err
	}
	c.size = info.Size()
	return wall, cpu, nil
}

// The targets: the archive is at most this share of what the others make by
// default, and building it again takes less than this many seconds.
const (
	sizeShare = 0.3
	warmLimit = 1.0
)

// report prints the results and reports whether the targets were met. The
// first contender is ours.
func report(w io.Writer, cs []*contender) bool {
	fmt.Fprintf(w, "| initramfs by | MB | cold s | warm s | CPU s, warm | size of ours : theirs |\n|---|---|---|---|---|---|\n")
	ours, met := cs[0], true
	for _, c := range cs {
		share := float64(ours.size) / float64(c.size)
		fmt.Fprintf(w, "| %s | %.2f | %.2f | %.2f | %.2f | %.2f |\n", c.name, float64(c.size)/1e6, median(c.cold), median(c.warm), median(c.cpu), share)
		met = met && (!c.anywhere || share <= sizeShare)
	}
	met = met && median(ours.warm) < warmLimit
	fmt.Fprintf(w, "\nTargets: at most %.1f of the size of what boots anywhere, warm in less than %.1f s: %s\n", sizeShare, warmLimit, map[bool]string{true: "pass", false: "**FAIL**"}[met])
	return met
}

// median of at least one value; of an even number, the lower in the middle.
func median(vs []float64) float64 {
	sorted := slices.Sorted(slices.Values(vs))
	return sorted[(len(sorted)-1)/2]
}
