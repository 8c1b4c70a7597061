package firstboot

import (
	"fmt"
	"strconv"
	"strings"
)

// MemAvailable returns the bytes of memory that a program can take without the
// system swapping, from the text of /proc/meminfo.
func MemAvailable(meminfo string) (int64, error) { return memory(meminfo, "MemAvailable") }

// MemTotal returns the bytes of memory that the kernel has, from the text of
// /proc/meminfo: less than is built in.
func MemTotal(meminfo string) (int64, error) { return memory(meminfo, "MemTotal") }

func memory(meminfo, name string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != name+":" || words[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || n < 0 || n > 1<<52 {
			return 0, fmt.Errorf("/proc/meminfo: %s: got %q, expected a number", name, words[1])
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("/proc/meminfo: no line %s", name)
}
