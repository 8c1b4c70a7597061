package disks

import (
	"slices"

	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// WantsOf returns what an installer's profile asks of the target. The payload's
// own backups and what it restores from are sacred besides those of the
// installer. The medium is not known yet, nor is what the installation needs.
func WantsOf(i profiles.Installer, payload profiles.Profile, layout layouts.Layout) Wants {
	w := Wants{Rules: i.Disk, Backup: slices.Clone(i.Backup), Layout: LayoutOf(layout), Erase: i.Erase}
	names := []string{payload.Restore.Disk}
	for _, b := range payload.Backup {
		names = append(names, b.Disk)
	}
	for _, n := range names {
		if n != "" && !slices.Contains(w.Backup, n) { // "" is a repository on a server, or none
			w.Backup = append(w.Backup, n)
		}
	}
	return w
}
