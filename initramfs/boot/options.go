package boot

import (
	"strings"

	"golang.org/x/sys/unix"
)

// mountFlags are the options that mount(2) takes as flags, not as text
// (mount(8), "filesystem-independent mount options").
var mountFlags = map[string]struct{ set, clear uintptr }{
	"ro":          {set: unix.MS_RDONLY},
	"rw":          {clear: unix.MS_RDONLY},
	"nosuid":      {set: unix.MS_NOSUID},
	"suid":        {clear: unix.MS_NOSUID},
	"nodev":       {set: unix.MS_NODEV},
	"dev":         {clear: unix.MS_NODEV},
	"noexec":      {set: unix.MS_NOEXEC},
	"exec":        {clear: unix.MS_NOEXEC},
	"sync":        {set: unix.MS_SYNCHRONOUS},
	"async":       {clear: unix.MS_SYNCHRONOUS},
	"dirsync":     {set: unix.MS_DIRSYNC},
	"noatime":     {set: unix.MS_NOATIME, clear: unix.MS_RELATIME | unix.MS_STRICTATIME},
	"relatime":    {set: unix.MS_RELATIME, clear: unix.MS_NOATIME | unix.MS_STRICTATIME},
	"strictatime": {set: unix.MS_STRICTATIME, clear: unix.MS_NOATIME | unix.MS_RELATIME},
	"atime":       {clear: unix.MS_NOATIME},
	"nodiratime":  {set: unix.MS_NODIRATIME},
	"diratime":    {clear: unix.MS_NODIRATIME},
	"lazytime":    {set: unix.MS_LAZYTIME},
	"nolazytime":  {clear: unix.MS_LAZYTIME},
	"nosymfollow": {set: unix.MS_NOSYMFOLLOW},
	"symfollow":   {clear: unix.MS_NOSYMFOLLOW},
	"silent":      {set: unix.MS_SILENT},
	"defaults":    {}, "auto": {}, "noauto": {}, "nofail": {}, "_netdev": {}, "user": {}, "nouser": {},
}

// splitOptions divides mount options into the flags and the text that mount(2)
// takes. Options that only programs of the system read are left out.
func splitOptions(options []string) (flags uintptr, data string) {
	var text []string
	for _, o := range options {
		f, isFlag := mountFlags[o]
		switch {
		case isFlag:
			flags = flags&^f.clear | f.set
		case o == "", strings.HasPrefix(o, "x-"), strings.HasPrefix(o, "comment="):
		default:
			text = append(text, o)
		}
	}
	return flags, strings.Join(text, ",")
}

// subvolumeOf returns the value of the last subvol= among options, and the
// options that choose no subvolume.
func subvolumeOf(options []string) (subvolume string, rest []string) {
	for _, o := range options {
		if v, ok := strings.CutPrefix(o, "subvol="); ok {
			subvolume = v
		} else if !strings.HasPrefix(o, "subvolid=") {
			rest = append(rest, o)
		}
	}
	return subvolume, rest
}
