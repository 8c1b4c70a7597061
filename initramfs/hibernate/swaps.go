package hibernate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Swap is a swap area in use.
type Swap struct {
	Path     string // of the device or file
	File     bool   // a file, not a block device
	Deleted  bool   // the file has no name any more
	Size     int64  // bytes
	Used     int64  // bytes
	Priority int
}

// deleted ends the path of a file without a name (d_path in the kernel).
const deleted = " (deleted)"

// ParseSwaps reads /proc/swaps: a line of titles, then a line for each area
// with path, type, size and use in units of 1024 bytes, and priority
// (swap_show in the kernel's mm/swapfile.c).
func ParseSwaps(text string) ([]Swap, error) {
	_, text, _ = strings.Cut(text, "\n")
	var swaps []Swap
	for line := range strings.Lines(text) {
		s, err := parseSwap(line)
		if err != nil {
			return nil, fmt.Errorf("/proc/swaps: line %q: %w", line, err)
		}
		swaps = append(swaps, s)
	}
	return swaps, nil
}

func parseSwap(line string) (s Swap, err error) {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
	if len(words) != 5 {
		return s, fmt.Errorf("has %d words, expected 5", len(words))
	}
	s.Path, s.Deleted = strings.CutSuffix(unescape(words[0]), deleted)
	s.File = words[1] == "file"
	s.Deleted = s.Deleted && s.File
	if s.Size, err = parseKiB(words[2]); err != nil {
		return s, err
	}
	if s.Used, err = parseKiB(words[3]); err != nil {
		return s, err
	}
	s.Priority, err = strconv.Atoi(words[4])
	return s, err
}

// parseKiB returns the bytes in a number of KiB.
func parseKiB(word string) (int64, error) {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64>>10 {
		return 0, fmt.Errorf("%d KiB, expected at most %d", n, int64(math.MaxInt64>>10))
	}
	return int64(n) << 10, nil
}

// unescape undoes what the kernel does to white space and backslashes in a
// path: \ooo, three octal digits (mangle_path).
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
