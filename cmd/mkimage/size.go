package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// sizeUnits are the suffixes of a size. All are powers of 1024: disks of file
// systems are, and a factor of 1000 here would only make sizes that must be
// rounded.
var sizeUnits = []struct {
	suffix string
	shift  int
}{
	{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40},
	{"K", 10}, {"M", 20}, {"G", 30}, {"T", 40},
	{"B", 0},
}

// parseSize reads a number of bytes above 0 with an optional suffix.
func parseSize(text string) (int64, error) {
	digits, shift := text, 0
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			digits, shift = rest, u.shift
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.Usage, "", "size %q: expected a whole number of bytes, or one with KiB, MiB, GiB, TiB (or K, M, G, T)", text)
	}
	if n > math.MaxInt64>>shift {
		return 0, fault.New(fault.Usage, "", "size %q: more than %d bytes", text, int64(math.MaxInt64))
	}
	return n << shift, nil
}

// humanBytes writes a number of bytes with one decimal place and a binary
// unit.
func humanBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for f >= 1024 && unit < 5 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, " KMGTP"[unit])
}
