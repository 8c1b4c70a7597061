package terminal

import (
	"os"
	"path/filepath"
	"strings"
)

// active is where the kernel lists the consoles that it prints on
// (Documentation/ABI/testing/sysfs-tty of Linux).
const active = "/sys/class/tty/console/active"

// Consoles returns the device nodes of all consoles that the kernel prints on,
// the preferred one last; /dev/console when the kernel does not tell.
func Consoles() []string {
	text, _ := os.ReadFile(active)
	return nodes(string(text))
}

// Type returns what TERM is for a program on the console of a device node: "linux" on a
// screen, else what every emulator of a serial line understands.
func Type(node string) string {
	if isScreen(node) {
		return "linux"
	}
	return "vt220"
}

// isScreen reports whether a device node is the console of a screen and a keyboard.
func isScreen(node string) bool {
	number, ok := strings.CutPrefix(filepath.Base(node), "tty")
	return ok && strings.Trim(number, "0123456789") == ""
}

func nodes(active string) (list []string) {
	for _, name := range strings.Fields(active) {
		list = append(list, filepath.Join("/dev", name))
	}
	if len(list) == 0 {
		return []string{"/dev/console"}
	}
	return list
}
