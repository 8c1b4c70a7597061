package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// notInInitrd is in every unit that is for the system. An initrd with systemd has the
// file that it names, as systemd itself goes by that.
const notInInitrd = `[Unit]
ConditionPathExists=!/etc/initrd-release
`

// leaveDropIn adds the condition to a unit.
func leaveDropIn(unit string) error {
	dir := unit + ".d"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "10-mkimage-initrd.conf"), []byte(notInInitrd), 0o644)
}

// The suffixes of a directory that has what a device starts.
const (
	deviceWants = ".device.wants"
	devNodes    = "/dev/"
)

// deviceRules returns rules of udev for a directory of what a device starts. A device
// that the initrd has seen does not come to be once more for the manager of the system,
// which therefore starts nothing by that; but it starts what udev asks for (see
// device_add_udev_wants in src/core/device.c of systemd).
func deviceRules(dir string) (rules string, err error) {
	name, ok := strings.CutSuffix(filepath.Base(dir), deviceWants)
	if !ok {
		return "", nil
	}
	node, err := pathOfUnit(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	link, ok := strings.CutPrefix(node, devNodes)
	if !ok || strings.ContainsAny(link, "\"*?[|\n") {
		return "", fmt.Errorf("%s: device %q, expected a plain name below %s", dir, node, devNodes)
	}
	wants, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, w := range wants {
		rules += fmt.Sprintf("SUBSYSTEM==\"block\", ACTION!=\"remove\", SYMLINK==\"%s\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"%s\"\n", link, w.Name())
	}
	return rules, nil
}

// pathOfUnit returns the path that a unit is named by, without the suffix of its kind:
// see "String Escaping for Inclusion in Unit Names" in systemd.unit(5).
func pathOfUnit(name string) (string, error) {
	b := []byte("/")
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] == '-':
			b = append(b, '/')
		case name[i] != '\\':
			b = append(b, name[i])
		case len(name) < i+4 || name[i+1] != 'x':
			return "", fmt.Errorf("name %q: expected two hexadecimal digits behind \\x", name)
		default:
			n, err := strconv.ParseUint(name[i+2:i+4], 16, 8)
			if err != nil {
				return "", fmt.Errorf("name %q: expected two hexadecimal digits behind \\x", name)
			}
			b = append(b, byte(n))
			i += 3
		}
	}
	return string(b), nil
}
