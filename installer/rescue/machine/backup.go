package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

// Repository is a repository of restic, and the file system that has it.
type Repository struct {
	Backup     inventory.Backup
	Repository inventory.Repository
}

// String names the repository by a word that can be typed.
func (r Repository) String() string { return r.Backup.Place.String() + ":" + r.Repository.Path }

// is reports whether the repository can be called so: by its place, its file system's
// label, or either with its path behind a colon.
func (r Repository) is(name string) bool {
	at, dir, both := strings.Cut(name, ":")
	if both && strings.Trim(dir, "/") != strings.Trim(r.Repository.Path, "/") {
		return false
	}
	return at == r.Backup.Place.String() || at == r.Backup.Disk || at == r.Backup.Label || at == "LABEL="+r.Backup.Label || at == "UUID="+r.Backup.UUID
}

// restores reports whether the host's profile restores from this file system.
func (r Repository) restores() bool { return slices.Contains(r.Backup.Wanted, "restore") }

// Repository returns the repository of a name, or for "" that which the host's profile
// restores from, or else the only one. Errors have class fault.Target, and fault.Usage
// where there are several.
func (m *Machine) Repository(name string) (Repository, error) {
	var all []Repository
	for _, b := range m.Inventory.Backups {
		for _, r := range b.Repositories {
			all = append(all, Repository{b, r})
		}
	}
	list := slices.Clone(all)
	if name != "" {
		list = slices.DeleteFunc(list, func(r Repository) bool { return !r.is(name) })
	} else if wanted := slices.DeleteFunc(slices.Clone(all), func(r Repository) bool { return !r.restores() }); len(wanted) > 0 {
		list = wanted
	}
	switch {
	case len(list) == 1:
		return list[0], nil
	case len(list) > 1:
		return Repository{}, fault.New(fault.Usage, hintRepositories(list), "several repositories could be meant")
	case len(all) > 0:
		return Repository{}, fault.New(fault.Target, hintRepositories(all), "repository %s: is not there", name)
	}
	return Repository{}, fault.New(fault.Target, "plug in the backup disk, wait a moment, and look with mkimage-rescue inventory", "no repository of restic is on the disks of this machine")
}

func hintRepositories(list []Repository) string {
	var names []string
	for _, r := range list {
		names = append(names, fmt.Sprintf("--repository %s", r))
	}
	return strings.Join(names, ", or ")
}
