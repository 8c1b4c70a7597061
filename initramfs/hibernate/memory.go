package hibernate

import (
	"fmt"
	"strings"
)

// activeAnon returns the bytes of memory that programs have used lately, from
// the text of /proc/meminfo.
func activeAnon(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "Active(anon):" || words[2] != "kB" {
			continue
		}
		n, err := parseKiB(words[1])
		if err != nil {
			return 0, fmt.Errorf("/proc/meminfo: Active(anon): %w", err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("/proc/meminfo: no line Active(anon)")
}

// fits reports whether an image of the memory in use is taken to fit into free
// bytes of swap space. It is the rule of systemd-logind (hibernate-util.c,
// HIBERNATION_SWAP_THRESHOLD), so that the two never disagree.
func fits(active, free int64) bool { return float64(active) <= float64(free)*0.98 }
