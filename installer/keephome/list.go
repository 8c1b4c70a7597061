package keephome

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/beside"
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
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	type mount struct{ device, root, target string }
	var mounts []mount
	device := ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// ID, parent, MAJOR:MINOR of the file system, what of it, where: proc(5).
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			return errors.New("/proc/self/mountinfo: a line of less than 5 fields")
		}
		if fields[0] == strconv.FormatUint(st.Mnt_id, 10) {
			device = fields[2]
		}
		mounts = append(mounts, mount{fields[2], fields[3], fields[4]})
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, m := range mounts {
		for _, n := range names {
			if m.device == device && below(path.Join("/", n), m.root) {
				return fault.New(fault.Target, "boot the new system first", "%s: is mounted at %s", n, m.target)
			}
		}
	}
	return nil
}
