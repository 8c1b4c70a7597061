package keephome

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

const (
	restorePath = firstboot.StateDir + "/restore.json"
	maxRestore  = 16 << 20 // bytes, as package restore reads
	maxConfig   = 16 << 20 // bytes
	phaseDone   = "done"   // of a restore
)

// restoreFile is what is to be known of a restore.
type restoreFile struct {
	Version  int       `json:"version"`
	Image    string    `json:"image"` // of the configuration that began it
	Host     string    `json:"host"`
	Path     string    `json:"path"`
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
	Bytes    int64     `json:"bytes"`
	Files    int64     `json:"files"`
	Phase    string    `json:"phase"`
	Staging  string    `json:"staging"`
}

// none is the restore of a home that came from no backup: done, of no snapshot.
func none(c *firstboot.Config) restoreFile {
	snapshot := strings.Repeat("0", 64)
	return restoreFile{
		Version: 1, Image: c.Image, Host: c.Restore.Host, Path: c.Restore.Path, Snapshot: snapshot,
		Time: time.Unix(0, 0).UTC(), Phase: phaseDone, Staging: ".mkimage-restore-" + snapshot[:8],
	}
}

// firstBoot tells the new system that what it would restore is there. A restore
// that was begun goes on in the new system, and one that the old system has
// waited for is still to be done.
func (in *Install) firstBoot(now time.Time) error {
	config := in.config(in.newFS())
	if config == nil || config.Restore == nil {
		return nil
	}
	if at, err := locate(in.Plan, config.Restore.Path); err != nil || in.scope.isNew(at.subvolume) {
		return err
	}
	at, err := locate(in.Plan, firstboot.StateDir)
	if err != nil {
		return err
	}
	dir, err := in.makeDirs(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	in.uncompared(at, "state.json", "state.json.damaged", "restore.json")
	return keepingTimes(dir, func() error {
		text, err := in.keptRestore(config)
		if err != nil || text == nil {
			return err
		}
		return in.conclude(text, firstboot.Step{
			Name: firstboot.StepRestore, Result: firstboot.Done, At: now, Image: config.Image,
			Message: config.Restore.Path + " was kept when the system was installed anew",
		})
	})
}

// keptRestore returns the file of the restore that is done by what was kept, nil
// where there is something left to restore.
func (in *Install) keptRestore(config *firstboot.Config) ([]byte, error) {
	text, err := durable.Read(in.newFS(), restorePath, maxRestore+1) // as it was carried
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, done := concluded(text, config)
	switch {
	case done:
		return text, nil
	case text != nil:
		in.note("%s: its restore was begun, and goes on in the new system", config.Restore.Path)
		return nil, nil
	case !in.hasHome(config.Restore.Path):
		in.note("%s: the old system has not restored it yet, the new one will", config.Restore.Path)
		return nil, nil
	}
	return json.MarshalIndent(none(config), "", "\t")
}

// concluded returns the file of a restore as the new system must find it: done by
// itself. It returns nil where it says nothing of this restore, and false where
// it is not done.
func concluded(text []byte, config *firstboot.Config) ([]byte, bool) {
	var r restoreFile
	var all map[string]json.RawMessage
	if len(text) > maxRestore || json.Unmarshal(text, &r) != nil || json.Unmarshal(text, &all) != nil {
		return nil, false
	}
	if r.Version != 1 || r.Host != config.Restore.Host || r.Path != config.Restore.Path || r.Phase == "" {
		return nil, false
	}
	if r.Phase != phaseDone {
		return text, false
	}
	image, err := json.Marshal(config.Image)
	if err != nil {
		return nil, false
	}
	all["image"] = image // and all else as it is
	text, err = json.MarshalIndent(all, "", "\t")
	return text, err == nil
}

// hasHome reports whether the old system has its data, be it that it was restored
// or that there never was a backup to restore.
func (in *Install) hasHome(name string) bool {
	if state, err := firstboot.ReadState(in.newFS()); err == nil && state.Done(firstboot.StepRestore) {
		return true
	}
	old := in.config(in.oldFS())
	return old == nil || old.Restore == nil || old.Restore.Path != name
}

// conclude writes the file of a restore, and the step.
func (in *Install) conclude(text []byte, step firstboot.Step) error {
	files := in.newFS()
	if err := durable.Write(files, restorePath, append(text, '\n'), 0o600); err != nil {
		return err
	}
	state, err := firstboot.ReadState(files)
	if err != nil {
		return err
	}
	return state.Record(files, step)
}

// uncompared takes files of a directory out of what is compared: they are small,
// synced one by one, and neither the payload's nor as they were carried.
func (in *Install) uncompared(at place, names ...string) {
	for _, n := range names {
		in.changed(place{at.subvolume, path.Join(at.name, n)})
	}
	for i := range in.copies {
		c := &in.copies[i]
		if c.place == nil || *c.place != at {
			continue
		}
		except := c.options.Except
		c.options.Except = func(name string) bool { return slices.Contains(names, name) || except(name) }
	}
}

// config is the configuration of the first boot that a system has, nil if it has
// none that can be read.
func (in *Install) config(files durable.FS) *firstboot.Config {
	for _, name := range []string{firstboot.ConfigPathNixOS, firstboot.ConfigPath} {
		text, err := durable.Read(files, name, maxConfig)
		c := &firstboot.Config{}
		if err == nil && json.Unmarshal(text, c) == nil && c.Version == firstboot.ConfigVersion {
			return c
		}
	}
	return nil
}

// read reads a file of the new system.
func (in *Install) read(name string, limit int64) ([]byte, error) {
	return durable.Read(in.newFS(), name, limit)
}

func (in *Install) newFS() durable.FS {
	return &mounted{in.Plan, func(subvolume string) string {
		if in.scope.isNew(subvolume) {
			subvolume = in.inNew(subvolume)
		}
		return filepath.Join(in.Top, subvolume)
	}}
}

func (in *Install) oldFS() durable.FS {
	return &mounted{in.Plan, func(subvolume string) string { return filepath.Join(in.Top, subvolume) }}
}

// mounted is the file system of a system that is not mounted: its subvolumes are
// in the top level. Names do not lead from one into another, but by the plan.
type mounted struct {
	plan *plan.Plan
	at   func(subvolume string) string
}

// find returns the subvolume that has a name, and the name in it.
func (m *mounted) find(name string) (durable.FS, string, error) {
	at, err := locate(m.plan, name)
	if err != nil {
		return nil, "", err
	}
	return durable.OS(m.at(at.subvolume)), path.Join("/", at.name), nil
}

// Open opens the top of a subvolume for a directory that is not there, but is when
// the system runs, since it leads to a mount point.
func (m *mounted) Open(name string) (durable.File, error) {
	file, err := in(m, name, durable.FS.Open)
	leads := slices.ContainsFunc(m.plan.Mounts, func(mount plan.Mount) bool { return below(name, mount.Target) })
	if errors.Is(err, fs.ErrNotExist) && leads {
		return in(m, name, func(f durable.FS, _ string) (durable.File, error) { return f.Open("/") })
	}
	return file, err
}

func (m *mounted) Create(name string, perm fs.FileMode) (durable.File, error) {
	return in(m, name, func(f durable.FS, name string) (durable.File, error) { return f.Create(name, perm) })
}

func (m *mounted) Lstat(name string) (durable.Info, error) { return in(m, name, durable.FS.Lstat) }

func (m *mounted) List(name string) ([]string, error) { return in(m, name, durable.FS.List) }

func (m *mounted) Lock(name string) (io.Closer, error) { return in(m, name, durable.FS.Lock) }

func (m *mounted) Mkdir(name string, perm fs.FileMode) error {
	_, err := in(m, name, func(f durable.FS, name string) (any, error) { return nil, f.Mkdir(name, perm) })
	return err
}

func (m *mounted) Remove(name string) error {
	_, err := in(m, name, func(f durable.FS, name string) (any, error) { return nil, f.Remove(name) })
	return err
}

func (m *mounted) Link(old, name string) error { return m.two(old, name, durable.FS.Link) }

func (m *mounted) Rename(old, name string) error { return m.two(old, name, durable.FS.Rename) }

func (m *mounted) two(old, name string, do func(f durable.FS, old, name string) error) error {
	from, err := locate(m.plan, old)
	if err != nil {
		return err
	}
	to, err := locate(m.plan, name)
	if err != nil {
		return err
	}
	if from.subvolume != to.subvolume {
		return fmt.Errorf("%s and %s are in different subvolumes", old, name)
	}
	return do(durable.OS(m.at(to.subvolume)), path.Join("/", from.name), path.Join("/", to.name))
}

// in does something with a name in the subvolume that has it.
func in[T any](m *mounted, name string, do func(f durable.FS, name string) (T, error)) (T, error) {
	f, name, err := m.find(name)
	if err != nil {
		var none T
		return none, err
	}
	return do(f, name)
}
