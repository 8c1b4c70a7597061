package boot

import "strings"

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
