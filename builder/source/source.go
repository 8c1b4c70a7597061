package source

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// Options says how a source is opened. Packages, Locales, Arch, Lock and Epoch
// decide what a Debian source becomes; the others change no byte of it.
type Options struct {
	// CacheDir is where archives of Debian sources and of store objects are kept and
	// compressed ones unpacked; it is made when it is missing. It may be empty for
	// others.
	CacheDir string

	Packages []string  // of a Debian source, besides the essential ones
	Locales  []string  // of a Debian source, such as "en_US.UTF-8"; C.UTF-8 always is there
	Arch     string    // of a Debian source, in Debian's words; "" is "amd64"
	Epoch    time.Time // later times of a Debian source become this one, and what is made of a cache has it; it should not lie in the future
	Lock     *Lock     // when not nil, a Debian source must be of exactly these packages

	Mirrors Mirrors // where they are empty, the host's own or else the public ones are taken
	Refresh bool    // build although the cache has it

	// Owner, when not nil, owns all that is in a directory or an archive,
	// whatever is said there.
	Owner *fstree.Owner

	Nix NixOptions // of a cache and of Nix

	Log      io.Writer        // messages of what is installed or built, and notes; nil drops them
	Progress builder.Progress // nil shows nothing
}

// Source is an open source. It must be closed when its tree is no longer read.
type Source struct {
	Spec     Spec
	Tree     *fstree.Tree
	Packages []Package        // installed in it, sorted; none where it has no database of them
	Arch     string           // of a Debian source, else ""
	Objects  []storedb.Object // of a NixOS out of a cache or a store: all of it, sorted by path

	digest func(context.Context) (string, error)
	close  func() error
}

// Open opens a source. What is wrong with it or missing for it is an error of
// class fault.Input, what is wrong with the options one of fault.Config.
func Open(ctx context.Context, spec Spec, o Options) (*Source, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Progress == nil {
		o.Progress = builder.Silent{}
	}
	if spec.Kind == Debian {
		return openDebian(ctx, spec, o)
	}
	switch {
	case len(o.Packages) > 0:
		return nil, fault.New(fault.Config, "take debian:SUITE as the source, or leave the packages out", "source %s: packages cannot be added to it", spec)
	case o.Lock != nil:
		return nil, fault.New(fault.Config, "leave the lock out: an archive or a directory is what it is", "source %s: has no lock", spec)
	}
	s := &Source{Spec: spec, close: func() error { return nil }}
	var err error
	switch spec.Kind {
	case Tar:
		err = s.openTar(ctx, spec.Value, o)
	case Cache:
		if err := s.openCache(ctx, o); err != nil {
			return nil, err
		}
		return s, nil
	case Nix:
		if err := s.openNix(ctx, o); err != nil {
			return nil, err
		}
		return s, nil
	case Dir:
		s.Tree, err = fstree.ScanDir(ctx, spec.Value, fstree.DirOptions{Owner: o.Owner})
		s.digest = func(ctx context.Context) (string, error) { return treeDigest(ctx, s.Tree) }
	default:
		_, err = Parse(spec.String())
	}
	if err != nil {
		return nil, err
	}
	// Locales of another source are for it to have; what it lacks shows when it
	// runs, and nothing can be added to it here.
	if s.Packages, err = InstalledPackages(s.Tree); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) openTar(ctx context.Context, path string, o Options) error {
	if o.CacheDir != "" {
		if err := os.MkdirAll(o.CacheDir, 0o755); err != nil {
			return err
		}
	}
	archive, err := fstree.OpenTar(ctx, path, o.CacheDir, fstree.TarOptions{Owner: o.Owner})
	if err != nil {
		return err
	}
	s.Tree, s.close = archive.Tree, archive.Close
	s.digest = func(ctx context.Context) (string, error) { return fileDigest(ctx, path, s.Tree) }
	return nil
}

// Close gives the source free, and lets go of its tree, which is the most of its memory.
// It reports, as an error of class fault.Input, an archive that changed while it was
// open. Closing it once more does nothing, and a nil source has nothing to close.
func (s *Source) Close() error {
	if s == nil {
		return nil
	}
	end := s.close
	s.close, s.Tree = func() error { return nil }, nil
	return end()
}

// Digest identifies what the source holds: "sha256:HEX" of an archive as it lies
// on the disk, "closure-sha256:HEX" of store objects (see closure.Closure.Digest), and
// "tree-sha256:HEX" of a directory, and of an archive that came through a pipe. The latter covers what is in a tree: names, types, modes,
// owners, times, targets, devices, extended attributes, hard links and contents.
// It reads everything, except for a Debian source, whose digest is known.
func (s *Source) Digest(ctx context.Context) (string, error) { return s.digest(ctx) }

// Lock returns the lock of a Debian source: what makes the next build of it the
// same. It is nil for others.
func (s *Source) Lock() *Lock {
	if s.Spec.Kind != Debian {
		return nil
	}
	l := &Lock{Version: LockVersion, Source: s.Spec.String(), Architecture: s.Arch}
	for _, p := range s.Packages {
		l.Packages = append(l.Packages, p.pin())
	}
	return l
}

// openDebian takes the archive of a Debian source from the cache, or has it
// built there, and opens it.
func openDebian(ctx context.Context, spec Spec, o Options) (*Source, error) {
	r, err := newRecipe(spec.Value, o)
	if err != nil {
		return nil, err
	}
	if err := o.Mirrors.check(); err != nil {
		return nil, err
	}
	if o.CacheDir == "" {
		return nil, fault.New(fault.Config, "", "source %s: needs a cache directory", spec)
	}
	dir := filepath.Join(o.CacheDir, slotsDir)
	if o.Lock == nil {
		return r.open(ctx, dir, nil, o)
	}
	locked, err := r.pinned(o.Lock)
	if err != nil {
		return nil, err
	}
	// An archive that was built without the lock is as good when it happens to
	// be of the same packages, as right after the lock was written.
	if s, err := r.cached(ctx, dir, o); s != nil || err != nil {
		return s, err
	}
	return locked.open(ctx, dir, o.Lock, o)
}

// cached opens what the cache has of an unlocked recipe if it is of the packages
// of the lock, or returns nil.
func (r recipe) cached(ctx context.Context, dir string, o Options) (*Source, error) {
	slot, err := openSlot(ctx, dir, r.key(), o.Log)
	if err != nil {
		return nil, err
	}
	defer slot.close()
	rec, err := slot.readRecord()
	if rec == nil || err != nil || o.Refresh || o.Lock.drift(rec.Packages) != nil {
		return nil, err
	}
	if rec, err = slot.load(ctx, o.Progress); rec == nil || err != nil {
		return nil, err
	}
	return r.source(ctx, slot, rec)
}

// open opens the archive of the recipe, building it where the cache lacks it.
func (r recipe) open(ctx context.Context, dir string, lock *Lock, o Options) (*Source, error) {
	slot, err := openSlot(ctx, dir, r.key(), o.Log)
	if err != nil {
		return nil, err
	}
	defer slot.close()
	var rec *record
	if !o.Refresh {
		if rec, err = slot.load(ctx, o.Progress); err != nil {
			return nil, err
		}
	}
	if rec == nil {
		if rec, err = r.build(ctx, slot, lock, o); err != nil {
			return nil, err
		}
	}
	return r.source(ctx, slot, rec)
}

// build has the archive made and put into the slot.
func (r recipe) build(ctx context.Context, slot *slot, lock *Lock, o Options) (*record, error) {
	mode, err := thisHost().mode(ctx)
	if err != nil {
		return nil, err
	}
	mirrors := o.Mirrors
	if mirrors.Main == "" || mirrors.Security == "" {
		mirrors = mirrors.or(HostMirrors(ctx))
	}
	log, err := os.Create(slot.path(".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return slot.fill(func(archive io.Writer) (record, error) {
		watch := newWatcher(o.Progress)
		rec, err := r.install(ctx, mode, mirrors, archive, watch, io.MultiWriter(log, o.Log), log.Name())
		if err == nil && lock != nil {
			err = lock.drift(rec.Packages)
		}
		return rec, err
	})
}

// source opens the archive in a slot, which may be given free afterwards: who
// replaces the archive leaves this one to us.
func (r recipe) source(ctx context.Context, slot *slot, rec *record) (*Source, error) {
	archive, err := fstree.OpenTar(ctx, slot.path(".tar"), slot.dir, fstree.TarOptions{})
	if err != nil {
		return nil, err
	}
	s := &Source{
		Spec: Spec{Debian, r.Suite}, Tree: archive.Tree, Arch: r.Arch, close: archive.Close,
		digest: func(context.Context) (string, error) { return fileScheme + rec.SHA256, nil },
	}
	if s.Packages, err = InstalledPackages(s.Tree); err == nil {
		err = addDigests(s.Packages, rec.Packages)
	}
	if err != nil {
		archive.Close()
		return nil, fmt.Errorf("source %s: %w", s.Spec, err)
	}
	return s, nil
}
