package firstboot

import (
	"fmt"
	"strconv"
	"strings"
)

// MemAvailable returns the bytes of memory that a program can take without the
// system swapping, from the text of /proc/meminfo.
func MemAvailable(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "MemAvailable:" || words[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || n < 0 || n > 1<<52 {
			return 0, fmt.Errorf("/proc/meminfo: MemAvailable: got %q, expected a number", words[1])
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("/proc/meminfo: no line MemAvailable")
}
