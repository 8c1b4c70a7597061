package keephome

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/beside"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
	"github.com/6FaNcY9/mkimage/installer/subvolume"
)

// Beside is what an installation has in a top level besides the system.
type Beside struct {
	ID  string
	New []string // names of the system that is not switched to, without the marks
	Old []string // of the system that was there before
}

// List returns the installations of which something is beside the system in a
// top level, sorted by ID.
func List(top string) ([]Beside, error) {
	entries, err := os.ReadDir(top)
	if err != nil {
		return nil, err
	}
	found := map[string]*Beside{}
	for _, e := range entries {
		name, id, isNew := parse(e.Name())
		if id == "" || !e.IsDir() {
			continue
		}
		if found[id] == nil {
			found[id] = &Beside{ID: id}
		}
		if b := found[id]; isNew {
			b.New = append(b.New, name)
		} else {
			b.Old = append(b.Old, name)
		}
	}
	var list []Beside
	for _, b := range found {
		slices.Sort(b.New)
		slices.Sort(b.Old)
		list = append(list, *b)
	}
	slices.SortFunc(list, func(a, b Beside) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// parse divides the name of a subvolume that is beside the system; id is "" for
// others.
func parse(full string) (name, id string, isNew bool) {
	i := strings.LastIndexByte(full, '-')
	if i < 0 || beside.CheckID(full[i+1:]) != nil {
		return "", "", false
	}
	id = full[i+1:]
	if name, ok := strings.CutSuffix(full, beside.New("", id)); ok && name != "" {
		return name, id, true
	}
	if name, ok := strings.CutSuffix(full, beside.Old("", id)); ok && name != "" {
		return name, id, false
	}
	return "", "", false
}

// Discard removes the new system of an installation that has not got as far as
// its boot entry. It can be cut anywhere and done again.
func Discard(top, id string) error { return remove(top, id, beside.New) }

// Expire removes the old system of an installation, when the new one has booted.
// It is refused, with class fault.Target, while the old one runs. It can be cut
// anywhere and done again.
func Expire(top, id string) error { return remove(top, id, beside.Old) }

func remove(top, id string, mark func(name, id string) string) error {
	if err := beside.CheckID(id); err != nil {
		return fmt.Errorf("installation: %w", err)
	}
	dir, err := openDir(top)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	suffix := mark("", id)
	names = slices.DeleteFunc(names, func(n string) bool { return len(n) == len(suffix) || !strings.HasSuffix(n, suffix) })
	slices.Sort(names)
	if err := notMounted(dir, names); err != nil {
		return err
	}
	for _, n := range names {
		if err := subvolume.Destroy(int(dir.Fd()), n); err != nil {
			return err
		}
	}
	return syncTop(top)
}

// notMounted is an error if one of some subvolumes is mounted: the kernel would
// remove it all the same.
func notMounted(top *os.File, names []string) error {
	var st unix.Statx_t
	if err := unix.Statx(int(top.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return fmt.Errorf("%s: statx: %w", top.Name(), err)
	}
	mounts, err := mountinfo.Self()
	if err != nil {
		return err
	}
	number := ""
	for _, m := range mounts {
		if m.ID == strconv.FormatUint(st.Mnt_id, 10) {
			number = m.Number
		}
	}
	for _, m := range mounts {
		for _, n := range names {
			if m.Number == number && below(path.Join("/", n), m.Root) {
				return fault.New(fault.Target, "boot the new system first", "%s: is mounted at %s", n, m.Point)
			}
		}
	}
	return nil
}
