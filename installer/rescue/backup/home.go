package backup

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/firstboot/restore"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// HomeRequest is a home to bring back.
type HomeRequest struct {
	Root     string                  // where the system is mounted, with all that its fstab says, writable
	Path     string                  // in the snapshot and in the system; "" is what the system was to restore, or /home
	Host     string                  // whose newest snapshot is taken; "" is the host that the system was to restore
	Snapshot string                  // the whole ID of another one; "" is the newest of Host and Path
	AnySize  bool                    // try what may not fit, as holes of files take no room
	Progress func(done, total int64) // bytes written, and then bytes read back; nil tells nobody
	Log      func(line string)       // what a person should know; nil tells nobody
}

// HomeReport is how a home was brought back.
type HomeReport struct {
	Path     string // that was filled
	Snapshot string // its ID
	Time     time.Time

	// Beside is what could not be put to its place, as there was data already, which
	// was not touched; nil where all is in its place.
	Beside []restore.Beside
}

// Home fills the home of a system that is mounted from a snapshot, as its first
// boot does: through a staging directory, compared, and never over data that is
// there. Cut short at any instant, the same request goes on with it. Another
// snapshot than the one that was begun leaves that where it is.
func (b *Backup) Home(ctx context.Context, h HomeRequest) (HomeReport, error) {
	c, err := h.config()
	if err != nil {
		return HomeReport{}, err
	}
	if err := h.isInside(c.Restore.Path); err != nil {
		return HomeReport{}, err
	}
	snapshot, err := b.snapshotFor(ctx, &h, c.Restore)
	if err != nil {
		return HomeReport{}, err
	}
	c.Restore.Host = cmp.Or(c.Restore.Host, snapshot.Host)
	report := HomeReport{Path: c.Restore.Path, Snapshot: snapshot.ID, Time: snapshot.Time}
	total := int64(0)
	err = restore.Run(ctx, c, restore.System{
		Root: h.Root, Repository: b.repo, Snapshot: snapshot.ID, AnySize: h.AnySize, Log: h.Log, Progress: h.progress(&total),
	})
	var beside *restore.NotPristine
	if errors.As(err, &beside) {
		report.Beside, err = beside.Dirs, nil
	}
	if err == nil && total > 0 {
		h.Progress(total, total)
	}
	return report, err
}

// config is what the system says of its restore, with what is asked for instead.
func (h *HomeRequest) config() (*firstboot.Config, error) {
	var c firstboot.Config
	for _, name := range []string{firstboot.ConfigPathNixOS, firstboot.ConfigPath} {
		text, err := durable.Read(durable.OS(h.Root), name, maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fault.New(fault.Input, "", "system in %s: %w", h.Root, err)
		}
		if c, err = firstboot.DecodeConfig(name, text); err != nil {
			return nil, err
		}
		break
	}
	had := cmp.Or(c.Restore, &firstboot.Restore{Path: "/home"})
	r := *had
	if h.Path != "" && path.Join("/", h.Path) != had.Path { // its homes are not those
		r = firstboot.Restore{Path: path.Join("/", h.Path), Host: had.Host}
	}
	if r.Path == "/" {
		return nil, fault.New(fault.Usage, "name a directory such as /home", "home /: is the whole system")
	}
	c.Restore = &r
	return &c, nil
}

// maxConfig bounds the configuration of a system, in bytes.
const maxConfig = 1 << 20

// isInside refuses a home to which a symlink leads: one that is absolute means
// another place in the rescue environment than in the system.
func (h *HomeRequest) isInside(home string) error {
	root, err := unix.Open(h.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault.New(fault.Usage, "mount the system first", "system in %s: %w", h.Root, err)
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, strings.TrimPrefix(path.Clean(home), "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case err == nil:
		return unix.Close(fd)
	case errors.Is(err, unix.ENOENT): // it is made
		return nil
	case errors.Is(err, unix.ELOOP):
		return fault.New(fault.Target, "name the directory that it leads to", "%s: is a symlink, or below one", home)
	}
	return fault.New(fault.Target, "", "%s: %w", home, err)
}

// snapshotFor returns the snapshot that is asked for, or the newest.
func (b *Backup) snapshotFor(ctx context.Context, h *HomeRequest, r *firstboot.Restore) (repository.Snapshot, error) {
	if h.Snapshot == "" {
		host := cmp.Or(h.Host, r.Host)
		if host == "" {
			return repository.Snapshot{}, fault.New(fault.Usage, "choose a snapshot, or name the host", "the system does not say whose backup its home is from")
		}
		return b.repo.Newest(ctx, repository.Filter{Host: host, Path: r.Path})
	}
	if err := b.has(h.Snapshot); err != nil {
		return repository.Snapshot{}, err
	}
	list, err := b.Snapshots(ctx, repository.Filter{})
	if err != nil {
		return repository.Snapshot{}, err
	}
	return Choose(list, h.Snapshot)
}

// progress tells of both stages as of one, and keeps the total of these.
func (h *HomeRequest) progress(total *int64) func(restore.Progress) {
	if h.Progress == nil {
		return nil
	}
	return func(p restore.Progress) {
		*total = 2 * p.Total
		done := min(p.Done, p.Total)
		if p.Stage == restore.StageVerify {
			done += p.Total
		}
		h.Progress(done, *total)
	}
}
