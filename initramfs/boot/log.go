package boot

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Levels of kernel messages (include/linux/kern_levels.h). On the console
// "quiet" hides information; debugging is hidden without it, too.
const (
	levelError   = 3
	levelWarning = 4
	levelInfo    = 6
	levelDebug   = 7
)

// maxKmsg is the longest line that the kernel takes (LOG_LINE_MAX), less what
// goes before the text.
const maxKmsg = 900

// logger writes lines into the kernel's log, which shows them on the console
// in order with the kernel's own and keeps them for the journal. Lines written
// before /dev is there are kept until open.
type logger struct {
	mu   sync.Mutex
	file *os.File
	kept []string
}

func (l *logger) open() error {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file = f
	for _, line := range l.kept {
		f.WriteString(line)
	}
	l.kept = nil
	return nil
}

func (l *logger) printf(level int, format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	text = text[:min(len(text), maxKmsg)]
	line := fmt.Sprintf("<%d>mkimage-init: +%.2fs %s\n", level, sinceStart().Seconds(), text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		l.kept = append(l.kept, line)
		return
	}
	l.file.WriteString(line)
}

// sinceStart is the time since the kernel started to count, just after it was
// entered.
func sinceStart() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// kernelLines returns the last n messages in the kernel's log that contain one
// of the words.
func kernelLines(n int, words ...string) []string {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var lines []string
	buf := make([]byte, 8<<10)
	for {
		k, err := unix.Read(fd, buf)
		if err == unix.EPIPE { // overwritten while we read: the next is there
			continue
		} else if err != nil || k == 0 {
			return lines[max(0, len(lines)-n):]
		}
		text := kmsgText(buf[:k])
		for _, w := range words {
			if strings.Contains(text, w) && !strings.HasPrefix(text, "mkimage-init:") {
				lines = append(lines, text)
				break
			}
		}
	}
}

// kmsgText returns the message of one record of /dev/kmsg: what is between the
// first ";" and the end of the line (Documentation/ABI/testing/dev-kmsg).
func kmsgText(record []byte) string {
	_, text, ok := strings.Cut(string(record), ";")
	if !ok {
		return ""
	}
	text, _, _ = strings.Cut(text, "\n")
	return text
}
