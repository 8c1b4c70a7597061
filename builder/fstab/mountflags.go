package fstab

import (
	"strings"

	"golang.org/x/sys/unix"
)

// flags are the options that mount(2) takes as flags, not as text
// (mount(8), "filesystem-independent mount options").
var flags = map[string]struct{ set, clear uintptr }{
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

// MountFlags divides mount options into the flags and the text that mount(2)
// takes. Options that only programs of the system read are left out.
func MountFlags(options []string) (set uintptr, data string) {
	var text []string
	for _, o := range options {
		f, isFlag := flags[o]
		switch {
		case isFlag:
			set = set&^f.clear | f.set
		case o == "", strings.HasPrefix(o, "x-"), strings.HasPrefix(o, "comment="):
		default:
			text = append(text, o)
		}
	}
	return set, strings.Join(text, ",")
}
