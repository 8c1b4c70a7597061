package imgtest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// kernelWatch reads the kernel's log from the moment it was made.
type kernelWatch struct{ fd int }

// record is one message of the kernel.
type record struct {
	level int // 0 emergency to 7 debug; 4 is a warning
	text  string
}

func watchKernel() (*kernelWatch, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/kmsg: %w", err)
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		return nil, errors.Join(fmt.Errorf("/dev/kmsg: seek: %w", err), unix.Close(fd))
	}
	return &kernelWatch{fd}, nil
}

func (w *kernelWatch) close() { unix.Close(w.fd) }

// records returns what was logged since the last call. Messages that the
// kernel dropped before they were read are an error: a warning may be among
// them.
func (w *kernelWatch) records() ([]record, error) {
	var out []record
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.Read(w.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return out, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EPIPE):
			return out, errors.New("/dev/kmsg: messages were lost")
		case err != nil:
			return out, fmt.Errorf("/dev/kmsg: %w", err)
		default:
			if r, ok := parseRecord(string(buf[:n])); ok {
				out = append(out, r)
			}
		}
	}
}

// parseRecord takes "priority,sequence,time,flags;text" and lines of
// properties, as in Documentation/ABI/testing/dev-kmsg of the kernel.
func parseRecord(s string) (record, bool) {
	head, text, ok := strings.Cut(s, ";")
	prio, _, ok2 := strings.Cut(head, ",")
	n, err := strconv.Atoi(prio)
	if !ok || !ok2 || err != nil {
		return record{}, false
	}
	text, _, _ = strings.Cut(text, "\n")
	return record{n & 7, text}, true
}

var (
	anyDevice = regexp.MustCompile(`\b(?:device|dev) (?:/dev/)?(\w+)`)
	oops      = regexp.MustCompile(`^(WARNING: |kernel BUG |BUG: |Oops|INFO: task .* blocked|Kernel panic)`)
)

// device returns the block device that a message is about, or "".
func (r record) device() string {
	if m := anyDevice.FindStringSubmatch(r.text); m != nil {
		return m[1]
	}
	return ""
}

// alarming reports whether a message says that something is wrong with a file
// system, its device or the kernel itself.
func (r record) alarming() bool {
	// Told at the level of a warning about any messages that were too many. A
	// level has its own limit: warnings are left out only after many were told.
	if strings.HasSuffix(r.text, "callbacks suppressed") {
		return false
	}
	about := strings.Contains(r.text, "BTRFS") || strings.Contains(r.text, "btrfs") || strings.Contains(r.text, "I/O error")
	return r.level <= 4 && about || oops.MatchString(r.text)
}

// unexpected splits messages into the alarming ones that no pattern matches
// and the patterns that matched none of all the messages.
func unexpected(rs []record, expect []string) (bad []record, unmet []string) {
	met := make([]bool, len(expect))
	for _, r := range rs {
		known := false
		for i, e := range expect {
			if regexp.MustCompile(e).MatchString(r.text) {
				met[i], known = true, true
			}
		}
		if r.alarming() && !known {
			bad = append(bad, r)
		}
	}
	for i, e := range expect {
		if !met[i] {
			unmet = append(unmet, e)
		}
	}
	return bad, unmet
}

// KernelLog fails the test when the kernel logs a btrfs warning or error, a
// kernel warning or a bug that names no block device while the test runs.
// Messages about a device are the business of Mount, which watches its own:
// other tests on the same machine may damage theirs on purpose. Each pattern
// of expect must match a message and excuses those that it matches.
func KernelLog(t testing.TB, expect ...string) {
	t.Helper()
	w, err := watchKernel()
	if err != nil {
		skip(t, "needs the kernel's log: "+err.Error())
		return
	}
	t.Cleanup(func() {
		defer w.close()
		rs, err := w.records()
		if err != nil {
			t.Error(err)
		}
		for _, p := range globalProblems(rs, expect) {
			t.Error(p)
		}
	})
}

func globalProblems(rs []record, expect []string) (out []string) {
	var own []record
	for _, r := range rs {
		if r.device() == "" || oops.MatchString(r.text) {
			own = append(own, r)
		}
	}
	bad, unmet := unexpected(own, expect)
	for _, r := range bad {
		out = append(out, "kernel: "+r.text)
	}
	for _, e := range unmet {
		out = append(out, fmt.Sprintf("kernel: logged nothing that matches %q", e))
	}
	return out
}
