// Package mountinfo reads what is mounted, as the kernel tells it in
// /proc/self/mountinfo (proc_pid_mountinfo(5)).
package mountinfo

import (
	"os"
	"strconv"
	"strings"
)

// Path is where the kernel tells the mounts of a process.
const Path = "/proc/self/mountinfo"

// Mount is one line, with its escapes undone.
type Mount struct {
	ID      string   // of the mount
	Number  string   // MAJOR:MINOR of the file system, as in st_dev
	Root    string   // what of the file system is mounted
	Point   string   // where
	Type    string   // of the file system
	Source  string   // device, or what else the file system calls it
	Options []string // of the file system; those of the mount are left out
}

// Self returns the mounts of this process in the order they were made: the last
// one at a place lies on top.
func Self() ([]Mount, error) {
	text, err := os.ReadFile(Path)
	if err != nil {
		return nil, err
	}
	return Parse(string(text)), nil
}

// Parse returns what stands in a text of this form. Other lines are left out.
func Parse(text string) []Mount {
	var list []Mount
	for line := range strings.Lines(text) {
		before, after, _ := strings.Cut(line, " - ")
		f, rest := strings.Fields(before), strings.Fields(after)
		if len(f) < 6 || len(rest) < 2 {
			continue
		}
		m := Mount{ID: f[0], Number: f[2], Root: Unescape(f[3]), Point: Unescape(f[4]), Type: rest[0], Source: Unescape(rest[1])}
		if len(rest) > 2 {
			m.Options = strings.Split(rest[2], ",")
		}
		list = append(list, m)
	}
	return list
}

// Unescape replaces \NNN by the byte, as the kernel writes spaces in paths
// (mangle_path in its fs/seq_file.c).
func Unescape(text string) string {
	const digits = 3
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, `\`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		text = rest
		if len(rest) >= digits {
			if n, err := strconv.ParseUint(rest[:digits], 8, 8); err == nil {
				b.WriteByte(byte(n))
				text = rest[digits:]
				continue
			}
		}
		b.WriteByte('\\')
	}
}
