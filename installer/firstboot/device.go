package firstboot

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// DevicePath returns the symlink that udev makes for a disk that "LABEL=…",
// "UUID=…" or "PARTLABEL=…" names; "" for anything else. Characters other than
// those that udev takes are escaped as it does (encode_devnode_name of systemd).
func DevicePath(disk string) string {
	tag, value, _ := strings.Cut(disk, "=")
	dir := map[string]string{"LABEL": "by-label", "UUID": "by-uuid", "PARTLABEL": "by-partlabel"}[tag]
	if dir == "" || value == "" {
		return ""
	}
	return "/dev/disk/" + dir + "/" + udevName(value)
}

func udevName(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); {
		r, n := utf8.DecodeRuneInString(value[i:])
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', strings.ContainsRune("#+-.:=@_", r), n > 1:
			b.WriteString(value[i : i+n])
		default:
			fmt.Fprintf(&b, `\x%02x`, value[i])
		}
		i += n
	}
	return b.String()
}

// BackupDir is where the disk with the backup is mounted.
const BackupDir = "/mnt/backup"
