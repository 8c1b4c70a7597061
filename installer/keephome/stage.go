package keephome

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/beside"
	"github.com/6FaNcY9/mkimage/installer/subvolume"
	"github.com/6FaNcY9/mkimage/installer/treecopy"
)

// Install is a reinstallation that keeps /home. Its fields are not changed once
// a step was done; the steps are Stage, Fstab, Factory, Carry and Seal, in this
// order, none of which can be done twice.
type Install struct {
	Top     string     // where the top level of the target's btrfs is mounted, for writing
	Payload string     // where the top level of the payload's is, read-only
	Plan    *plan.Plan // of the installed system
	ID      string     // of this installation alone, see beside.CheckID
	Keep    []string   // paths that are kept besides Defaults
	Workers int        // files at a time; 0 is as many as the machine likes
	// Note is told what is not as expected and no error, one line each: what
	// should be kept and is not there. It may be nil.
	Note func(line string)

	scope  *Scope
	bytes  int64 // of content
	copies []copied
	fstab  []byte              // as it was rewritten
	except map[string][]string // what was changed in new subvolumes after it was copied, by subvolume
}

// copied is a tree that was copied, to be compared.
type copied struct {
	place   *place // what was carried, in both systems; nil for the payload
	in      string // otherwise the subvolume that was filled
	digests *treecopy.Digests
	options treecopy.Options
}

// newName is the name of a subvolume while its system stands beside the old one.
func (in *Install) newName(subvolume string) string { return beside.New(subvolume, in.ID) }

func (in *Install) note(format string, args ...any) {
	if in.Note != nil {
		in.Note(fmt.Sprintf(format, args...))
	}
}

// Check decides what is made anew, and says what stands in the way: a target that
// has not the layout, or no room. It writes nothing. Stage does it itself.
func (in *Install) Check() (*Scope, error) {
	if err := beside.CheckID(in.ID); err != nil {
		return nil, fmt.Errorf("installation: %w", err)
	}
	scope, err := ScopeOf(in.Plan, in.Keep)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, v := range in.Plan.Layout.Subvolumes {
		if err := in.there(in.Top, v.Name); err != nil {
			problems = append(problems, fault.New(fault.Target, freshHint, "target: %w", err))
		}
		if scope.isNew(v.Name) {
			if err := in.there(in.Payload, v.Name); err != nil {
				problems = append(problems, fault.New(fault.Input, "", "medium: payload: %w", err))
			}
		}
	}
	for _, name := range scope.names() {
		if _, err := os.Lstat(filepath.Join(in.Top, in.newName(name))); err == nil {
			problems = append(problems, fault.New(fault.Target, "", "target: %s is there already, expected an installation that was begun to be discarded", in.newName(name)))
		}
	}
	if err := in.room(); err != nil {
		problems = append(problems, err)
	}
	return scope, errors.Join(problems...)
}

// names are all that are made at the top level.
func (s *Scope) names() []string {
	names := slices.Clone(s.New)
	for _, shot := range s.Snapshots {
		names = append(names, shot.Path)
	}
	return names
}

// there is an error unless there is a subvolume at a path.
func (in *Install) there(top, name string) error {
	f, err := openDir(filepath.Join(top, name))
	if err != nil {
		return fmt.Errorf("%s: %w", name, errors.Unwrap(err))
	}
	defer f.Close()
	is, err := subvolume.Is(int(f.Fd()))
	if err == nil && !is {
		err = errors.New("a directory, expected a subvolume")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func openDir(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// spare is how much room the new system needs besides what the payload takes, in
// bytes: metadata that is not packed as tightly, and what the first boot writes.
const spare = 512 << 20

// room is an error if the payload does not fit beside the old system.
func (in *Install) room() error {
	var target, payload unix.Statfs_t
	if err := unix.Statfs(in.Top, &target); err != nil {
		return fmt.Errorf("%s: statfs: %w", in.Top, err)
	}
	if err := unix.Statfs(in.Payload, &payload); err != nil {
		return fmt.Errorf("%s: statfs: %w", in.Payload, err)
	}
	need := int64(payload.Blocks-payload.Bfree)*payload.Bsize*11/10 + spare
	if free := int64(target.Bavail) * target.Bsize; free < need {
		return fault.New(fault.Target, "make room in /home, or remove old systems and snapshots", "target: %d bytes are free, the new system needs %d beside the old one", free, need)
	}
	return nil
}

// Stage makes the subvolumes of the system beside the old ones and copies the
// payload into them. Progress is in bytes.
func (in *Install) Stage(ctx context.Context, progress func(done, total int64)) (err error) {
	if in.scope, err = in.Check(); err != nil {
		return err
	}
	in.except = map[string][]string{}
	var total, done int64
	for _, name := range in.scope.New {
		from, err := openDir(filepath.Join(in.Payload, name))
		if err != nil {
			return err
		}
		_, bytes, err := treecopy.Measure(ctx, from, treecopy.Options{Workers: in.Workers, Subvolume: subvolume.Create})
		if err := errors.Join(err, from.Close()); err != nil {
			return fmt.Errorf("payload: %s: %w", name, err)
		}
		total += bytes
	}
	in.bytes = total
	for _, name := range in.scope.New {
		if err := in.stageOne(ctx, name, func(n int64) { done += n; progress(done, max(done, total)) }); err != nil {
			return fmt.Errorf("%s: %w", in.newName(name), err)
		}
	}
	return nil
}

// stageOne makes one subvolume.
func (in *Install) stageOne(ctx context.Context, name string, progress func(n int64)) error {
	top, err := openDir(in.Top)
	if err != nil {
		return err
	}
	defer top.Close()
	if err := subvolume.Create(int(top.Fd()), in.newName(name)); err != nil {
		return fmt.Errorf("make the subvolume: %w", err)
	}
	c := copied{in: name, options: in.options()}
	from, to, err := in.open(&c)
	if err != nil {
		return err
	}
	defer from.Close()
	defer to.Close()
	// What the top level says of compression is no business of the new system.
	if err := unix.Fremovexattr(int(to.Fd()), "btrfs.compression"); err != nil && !errors.Is(err, unix.ENODATA) {
		return fmt.Errorf("remove btrfs.compression: %w", err)
	}
	c.options.Progress = progress
	c.options.Note = func(path, why string) { in.note("payload: %s: %s: %s, left out", name, path, why) }
	c.digests, err = treecopy.Copy(ctx, from, to, c.options)
	in.copies = append(in.copies, c)
	return err
}

func (in *Install) options() treecopy.Options {
	return treecopy.Options{Workers: in.Workers, Subvolume: subvolume.Create}
}

// open opens both directories. Between copying and comparing they may have been
// mounted anew.
func (in *Install) open(c *copied) (from, to *os.File, err error) {
	if c.place != nil {
		from, err = in.oldDir(*c.place)
	} else {
		from, err = openDir(filepath.Join(in.Payload, c.in))
	}
	if err != nil {
		return nil, nil, err
	}
	if c.place != nil {
		to, err = in.newDir(*c.place)
	} else {
		to, err = openDir(filepath.Join(in.Top, in.newName(c.in)))
	}
	if err != nil {
		return nil, nil, errors.Join(err, from.Close())
	}
	return from, to, nil
}

// Factory takes the factory snapshots of the new subvolumes, as they are now.
func (in *Install) Factory() error {
	top, err := openDir(in.Top)
	if err != nil {
		return err
	}
	defer top.Close()
	for _, s := range in.scope.Snapshots {
		of, err := openDir(filepath.Join(in.Top, in.newName(s.Source)))
		if err != nil {
			return err
		}
		err = subvolume.SnapshotReadOnly(int(top.Fd()), in.newName(s.Path), of)
		if err := errors.Join(err, of.Close()); err != nil {
			return fmt.Errorf("%s: take the snapshot: %w", in.newName(s.Path), err)
		}
	}
	return nil
}

// syncTop returns when all that was written is on the disk.
func syncTop(top string) error {
	f, err := openDir(top)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("%s: cannot be written to its disk: %w", top, err)
	}
	return nil
}
