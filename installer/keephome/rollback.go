package keephome

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/beside"
	"github.com/6FaNcY9/mkimage/installer/subvolume"
)

// Rollback puts a snapshot of a subvolume into its place, in a btrfs whose system
// does not run. What was there stays as NAME.old-ID, as after a reinstallation.
// Until the last rename, which is one step for the file system, nothing of the
// system is changed. It can be cut anywhere and done again with the same ID.
type Rollback struct {
	Top      string     // where the top level is mounted, for writing
	Plan     *plan.Plan // of the system, for where what is kept lies
	Name     string     // the subvolume, such as "@"; at the top level
	Snapshot string     // its path from the top level
	ID       string     // of this rollback alone, see beside.CheckID
	// Identity carries Defaults over, as far as they lie in the subvolume: of a
	// snapshot that is older than they are.
	Identity bool
	Note     func(line string) // as that of Install; may be nil
}

// Rolled is what a rollback has done.
type Rolled struct {
	Old string `json:"old"` // name of the subvolume that was replaced
	// Nested are the paths in it of subvolumes that stay there: a snapshot has
	// empty directories in their places.
	Nested []string `json:"nested,omitempty"`
}

// Run rolls back. The error is of class fault.Usage where there is no such
// snapshot, and of fault.Target where a subvolume is missing or in the way.
func (r *Rollback) Run(ctx context.Context) (*Rolled, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	top, err := openDir(r.Top)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	done, ready, err := r.state()
	if err != nil {
		return nil, err
	}
	if !done && !ready {
		if err := r.prepare(ctx, top); err != nil {
			return nil, err
		}
	}
	if !done {
		if err := r.exchange(top); err != nil {
			return nil, err
		}
	}
	rolled := &Rolled{Old: beside.Old(r.Name, r.ID)}
	rolled.Nested, err = r.nested(rolled.Old)
	return rolled, err
}

func (r *Rollback) check() error {
	if err := beside.CheckID(r.ID); err != nil {
		return fmt.Errorf("rollback: %w", err)
	}
	if r.Name == "" || strings.Contains(r.Name, "/") {
		return fault.New(fault.Usage, "", "subvolume %q: expected one at the top level", r.Name)
	}
	if !filepath.IsLocal(r.Snapshot) || path.Clean(r.Snapshot) == r.Name {
		return fault.New(fault.Usage, "the inventory lists the snapshots", "snapshot %q: expected the path of one, from the top level", r.Snapshot)
	}
	return nil
}

// state tells how far an earlier run came. What is in the place of the old one is
// the old one if the file system has numbered it before the one in use.
func (r *Rollback) state() (done, ready bool, err error) {
	now, err := r.number(r.Name)
	if err != nil {
		return false, false, fault.New(fault.Target, "", "%w", err)
	}
	old, err := r.number(beside.Old(r.Name, r.ID))
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, false, nil
	case err != nil:
		return false, false, fault.New(fault.Target, "", "%w", err)
	}
	return old < now, old > now, nil
}

func (r *Rollback) number(name string) (uint64, error) {
	f, err := openDir(filepath.Join(r.Top, name))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, errors.Unwrap(err))
	}
	defer f.Close()
	id, err := subvolume.ID(int(f.Fd()))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return id, nil
}

// prepare makes the new subvolume and has it on the disk, by the name that the
// old one gets.
func (r *Rollback) prepare(ctx context.Context, top *os.File) error {
	name := beside.New(r.Name, r.ID)
	if err := subvolume.Destroy(int(top.Fd()), name); err != nil && !errors.Is(err, unix.ENOENT) {
		return fault.New(fault.Target, "", "what an earlier try has left: %w", err)
	}
	from, err := openPlace(r.Top, r.Snapshot)
	if err != nil {
		return fault.New(fault.Usage, "the inventory lists the snapshots", "snapshot %w", err)
	}
	defer from.Close()
	switch is, err := subvolume.Is(int(from.Fd())); {
	case err != nil:
		return fmt.Errorf("%s: %w", r.Snapshot, err)
	case !is:
		return fault.New(fault.Usage, "the inventory lists the snapshots", "%s: a directory, expected a snapshot", r.Snapshot)
	}
	if err := subvolume.Snapshot(int(top.Fd()), name, from); err != nil {
		return fmt.Errorf("%s: take a snapshot of %s: %w", name, r.Snapshot, err)
	}
	if err := r.identity(ctx); err != nil {
		return err
	}
	if err := syncTop(r.Top); err != nil {
		return err
	}
	return rename(top, name, beside.Old(r.Name, r.ID), unix.RENAME_NOREPLACE)
}

// identity carries what is kept over to the new subvolume.
func (r *Rollback) identity(ctx context.Context) error {
	if !r.Identity {
		return nil
	}
	in := &Install{
		Top: r.Top, Plan: r.Plan, ID: r.ID, Note: r.Note,
		scope: &Scope{New: []string{r.Name}}, except: map[string][]string{},
	}
	for _, k := range Defaults {
		if err := in.carry(ctx, k); err != nil {
			return fmt.Errorf("keep %s: %w", path.Join(k.Path, k.Names), err)
		}
	}
	return nil
}

// exchange gives both the name of the other one, at once.
func (r *Rollback) exchange(top *os.File) error {
	if err := rename(top, beside.Old(r.Name, r.ID), r.Name, unix.RENAME_EXCHANGE); err != nil {
		return err
	}
	return syncTop(r.Top)
}

func rename(top *os.File, from, to string, flags uint) error {
	if err := unix.Renameat2(int(top.Fd()), from, int(top.Fd()), to, flags); err != nil {
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	return nil
}

// nested are the subvolumes that stay in the old one.
func (r *Rollback) nested(name string) ([]string, error) {
	f, err := openDir(filepath.Join(r.Top, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return subvolume.Nested(int(f.Fd()))
}
