package fstab

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Tag is by what a device is named, in the words of fstab(5).
type Tag string

// The tags that a partition or its file system has, whatever disk it is on.
const (
	UUID      Tag = "UUID"      // of the file system
	Label     Tag = "LABEL"     // of the file system
	PARTUUID  Tag = "PARTUUID"  // of the partition
	PARTLABEL Tag = "PARTLABEL" // of the partition
)

// links are where udev has links for what the tags mean.
var links = map[Tag]string{
	UUID:      "/dev/disk/by-uuid/",
	Label:     "/dev/disk/by-label/",
	PARTUUID:  "/dev/disk/by-partuuid/",
	PARTLABEL: "/dev/disk/by-partlabel/",
}

// ParseDevice returns the tag and its value that the first field of a line names a device
// by, as "LABEL=root" or as the link that udev makes of it.
func ParseDevice(what string) (tag Tag, value string, ok bool) {
	for t, dir := range links {
		if name, ok := strings.CutPrefix(what, dir); ok {
			return t, decodeUdev(name), true
		}
	}
	name, value, _ := strings.Cut(what, "=")
	if _, ok := links[Tag(name)]; !ok {
		return "", "", false
	}
	return Tag(name), value, true
}

// DevicePath returns the path that udev makes for a tag, and anything else as it is.
func DevicePath(what string) string {
	tag, value, _ := strings.Cut(what, "=")
	if dir, ok := links[Tag(tag)]; ok {
		return dir + encodeUdev(value)
	}
	return what
}

// encodeUdev encodes a name as udev does for its links (encode_devnode_name of
// systemd's device-nodes.c): all but the characters of a short list, and
// those beyond ASCII, become \xHH.
func encodeUdev(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		switch {
		case size > 1 || strings.ContainsRune("#+-.:=@_", r),
			'0' <= r && r <= '9', 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z':
			b.WriteString(name[i : i+size])
		default:
			for _, c := range []byte(name[i : i+size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		i += size
	}
	return b.String()
}

// decodeUdev undoes encodeUdev.
func decodeUdev(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if strings.HasPrefix(name[i:], `\x`) && i+4 <= len(name) {
			if n, err := strconv.ParseUint(name[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}
