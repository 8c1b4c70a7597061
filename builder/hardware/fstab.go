package hardware

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstab"
)

// Fstab returns the table of file systems, fstab(5). A root in memory has no
// line: the initramfs has made it, and a remount with the options of a tmpfs
// would fail.
func (h *Hardware) Fstab() []byte {
	var b strings.Builder
	b.WriteString("# what where type options dump pass\n")
	for _, m := range h.Mounts {
		if m.Type == "tmpfs" && m.Target == "/" {
			continue
		}
		b.WriteString(fstab.Line{What: m.What, Target: m.Target, Type: m.Type, Options: m.Options, Pass: m.Pass}.String() + "\n")
	}
	for _, s := range h.Swaps {
		b.WriteString(fstab.Line{What: s.What, Target: "none", Type: "swap", Options: s.Options}.String() + "\n")
	}
	return []byte(b.String())
}

// parseFstab reads a table of file systems. Lines that mount nothing at boot,
// such as those of type "ignore", are left out. Errors are those of fstab.Parse.
func parseFstab(text string) (mounts []Mount, swaps []Swap, err error) {
	mounts, swaps = []Mount{}, []Swap{}
	lines, err := fstab.Parse(text)
	for _, l := range lines {
		switch {
		case l.IsSwap():
			swaps = append(swaps, Swap{What: l.What, Options: l.Options})
		case l.IsMount():
			mounts = append(mounts, Mount{What: l.What, Target: l.Target, Type: l.Type, Options: l.Options, Pass: l.Pass})
		}
	}
	return mounts, swaps, err
}
