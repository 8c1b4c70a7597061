package boot

import (
	"path"
	"slices"
	"strings"
)

const fstabHead = "# The system as it was built: changes are in memory and are lost.\n" +
	"# Lines that begin with #factory# are those of the installed system.\n"

// factoryFstab returns the fstab of a factory system: without /, which is an
// overlay, and without whatever lies on a subvolume of the installed system.
func factoryFstab(text string) string {
	off := map[string]bool{}
	for _, f := range fstabLines(text) {
		if f.where == "/" || f.kind == "btrfs" {
			off[f.where] = true
		}
	}
	var b strings.Builder
	b.WriteString(fstabHead)
	for line := range strings.Lines(text) {
		if f, ok := parseFstab(line); ok && (off[f.where] || f.local() && below(f.what, off)) {
			b.WriteString("#factory# ")
		}
		b.WriteString(line)
	}
	return b.String()
}

type fstabLine struct {
	what, where, kind string
	options           []string
}

// local reports whether the line uses a path, not a device: a swapfile or a
// bind mount.
func (f fstabLine) local() bool {
	return path.IsAbs(f.what) && !strings.HasPrefix(f.what, "/dev/") &&
		(f.kind == "swap" || slices.Contains(f.options, "bind") || slices.Contains(f.options, "rbind"))
}

func fstabLines(text string) []fstabLine {
	var lines []fstabLine
	for line := range strings.Lines(text) {
		if f, ok := parseFstab(line); ok {
			lines = append(lines, f)
		}
	}
	return lines
}

func parseFstab(line string) (f fstabLine, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 || strings.HasPrefix(fields[0], "#") {
		return f, false
	}
	f = fstabLine{what: fields[0], where: fields[1], kind: fields[2]}
	if len(fields) > 3 {
		f.options = strings.Split(fields[3], ",")
	}
	return f, true
}

// below reports whether name is one of dirs or below one. "/" does not count:
// the overlay has everything of it.
func below(name string, dirs map[string]bool) bool {
	for ; name != "/" && name != "."; name = path.Dir(name) {
		if dirs[name] {
			return true
		}
	}
	return false
}
