package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contender is one way to make a result: processes that run one after another.
type contender struct {
	name   string
	steps  []step
	output string // the image, removed before and measured after each run
	scrap  string // a directory that the steps fill, emptied after each run
}

type step struct {
	argv []string
	env  []string // besides the environment
}

// sample is what one run took.
type sample struct {
	wall, cpu time.Duration
	busy      time.Duration // of all processors meanwhile, other programs included
	rss       int64         // bytes at the peak of the largest process
	length    int64         // of the output
	allocated int64         // bytes that the output takes on the host
}

// result is what all counted runs of a contender took.
type result struct {
	name    string
	samples []sample
}

// race runs the contenders in turns, one uncounted round first.
func (b *bench) race(ctx context.Context, cs []contender) ([]result, error) {
	results := make([]result, len(cs))
	for round := range b.rounds + 1 {
		for i, c := range cs {
			s, err := c.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Fprintf(b.log, "round %d of %d: %s: %.2f s\n", round, b.rounds, c.name, s.wall.Seconds())
			results[i].name = c.name
			if round > 0 {
				results[i].samples = append(results[i].samples, s)
			}
		}
	}
	return results, nil
}

func (c contender) run(ctx context.Context) (sample, error) {
	var s sample
	if err := os.WriteFile(c.output, nil, 0o600); err != nil {
		return s, err
	}
	if err := os.Remove(c.output); err != nil {
		return s, err
	}
	if c.scrap != "" {
		if err := os.Mkdir(c.scrap, 0o755); err != nil {
			return s, err
		}
		defer os.RemoveAll(c.scrap)
	}
	for _, st := range c.steps {
		if err := st.run(ctx, &s); err != nil {
			return s, err
		}
	}
	info, err := os.Stat(c.output)
	if err != nil {
		return s, err
	}
	s.length = info.Size()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.allocated = st.Blocks * 512
	}
	return s, os.Remove(c.output)
}

// run adds what a process took to s. The peak of a child begins at what this
// process has in memory when it starts it, so this process stays small.
func (st step) run(ctx context.Context, s *sample) error {
	var messages bytes.Buffer
	cmd := exec.CommandContext(ctx, st.argv[0], st.argv[1:]...)
	cmd.Env = append(os.Environ(), st.env...)
	cmd.Stdout, cmd.Stderr = &messages, &messages
	busy, began := busyTime(), time.Now()
	err := cmd.Run()
	s.wall += time.Since(began)
	s.busy += busyTime() - busy
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(st.argv, " "), err, strings.TrimSpace(messages.String()))
	}
	s.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.rss = max(s.rss, u.Maxrss<<10)
	}
	return nil
}

// busyTime is how long the processors of this machine have worked since it
// started: all of the first line of /proc/stat but idle and iowait, in units
// of 10 ms. It is 0 where there is no such file.
func busyTime() time.Duration {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	return parseBusy(string(stat))
}

func parseBusy(stat string) time.Duration {
	line, _, _ := strings.Cut(stat, "\n")
	var ticks int64
	for i, f := range strings.Fields(line) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || i == 4 || i == 5 || i > 8 { // the label, idle, iowait, and guests, which count as user
			continue
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// spread is the median and the range of one figure.
type spread struct{ min, median, max float64 }

func (r result) spread(figure func(sample) float64) spread {
	vs := make([]float64, len(r.samples))
	for i, s := range r.samples {
		vs[i] = figure(s)
	}
	return spreadOf(vs)
}

// spreadOf takes at least one value; the median of an even number of values is
// the mean of the two in the middle.
func spreadOf(vs []float64) spread {
	slices.Sort(vs)
	n := len(vs)
	return spread{vs[0], (vs[(n-1)/2] + vs[n/2]) / 2, vs[n-1]}
}

func wall(s sample) float64      { return s.wall.Seconds() }
func cpu(s sample) float64       { return s.cpu.Seconds() }
func others(s sample) float64    { return max(0, (s.busy - s.cpu).Seconds()) }
func rss(s sample) float64       { return float64(s.rss) / (1 << 20) }
func length(s sample) float64    { return float64(s.length) / 1e6 }
func allocated(s sample) float64 { return float64(s.allocated) / 1e6 }
