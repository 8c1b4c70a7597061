package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// NotPristine is the cause of a CodeNotPristine: all is done, but something could
// not be put to its place.
type NotPristine struct {
	Path string   // that was restored
	Dirs []Beside // at least one
}

// Beside is a directory with what could not be put to its place.
type Beside struct {
	Dir   string   // absolute in the system, at the top of what was restored
	Names []string // in it
	Kept  bool     // it has what was there, not the backup of it
}

// Error implements error. It tells of the first directory.
func (e *NotPristine) Error() string {
	first := e.Dirs[0]
	what := "there was data already, which was not touched: the backup of it lies in"
	if first.Kept {
		what = "was changed while it was replaced: what was there lies in"
	}
	return fmt.Sprintf("%s: %s %s: %s", e.Path, what, first.Dir, repository.Listed(first.Names))
}

// beside is a CodeNotPristine when something could not be put to its place.
func (r *run) beside() error {
	found := &NotPristine{Path: r.c.Restore.Path}
	for _, dir := range []string{r.pin.besideDir(), r.pin.keptDir()} {
		at := path.Join(r.c.Restore.Path, dir)
		names, err := r.files.List(at)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
			continue
		}
		if err != nil {
			return err
		}
		found.Dirs = append(found.Dirs, Beside{Dir: at, Names: names, Kept: dir == r.pin.keptDir()})
	}
	if len(found.Dirs) == 0 {
		return nil
	}
	at := found.Dirs[0].Dir
	return firstboot.NewProblem(firstboot.CodeNotPristine, fmt.Sprintf("take what you need from %s, then: rm -rf %s && %s", at, at, r.again()), "%w", found)
}
