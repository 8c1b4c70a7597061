package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/keymedium"
	"github.com/6FaNcY9/mkimage/installer/rescue/backup"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
	"github.com/6FaNcY9/mkimage/installer/rescue/unlock"
)

// source says which backup is meant, and what opens it.
type source struct {
	where
	repository   string
	passwordFile string
}

// addSource adds the flags of commands that open a backup.
func (f *source) addSource(flags *pflag.FlagSet) {
	f.addSystem(flags)
	flags.StringVar(&f.repository, "repository", "", "the repository of restic, where there are several: a `name` as inventory prints it, or LABEL=… of its disk")
	flags.StringVar(&f.passwordFile, "password-file", "", "the `file` with the password of the repository, instead of the machine's secret")
}

// desk is a machine, and what was found on it for a command about data.
type desk struct {
	p      *program
	f      *source
	m      *machine.Machine
	system *inventory.System // whose data it is; nil where there is none, or none is known to be meant
	dir    string            // where the system is mounted read-only; "" where it is not
	repo   machine.Repository
	place  backup.Place
	vault  *unlock.Vault // nil where there is none
	key    *unlock.Found // that was found before; nil looks for it
	*unlock.Opened
	targets map[inventory.Place]string // disks that are copied to, and where they are mounted
}

// deskOf takes the inventory. The system is found where it can be.
func (p *program) deskOf(ctx context.Context, f *source) (*desk, error) {
	m, err := p.look(ctx, &f.where)
	if err != nil {
		return nil, err
	}
	d := &desk{p: p, f: f, m: m}
	if d.system, err = m.System(f.system); err != nil && f.system != "" {
		return nil, err
	}
	return d, nil
}

// resticPath is where a medium has restic.
const resticPath = firstboot.ProgramsDir + "/restic"

// open mounts the backup and opens its repository. command is what hints tell to type
// again.
func (d *desk) open(ctx context.Context, command string) (err error) {
	if d.repo, err = d.m.Repository(d.f.repository); err != nil {
		return err
	}
	restic, _ := d.p.tool(resticPath) // checkBackup says that there is none: nobody else runs it
	d.place = backup.Place{Program: restic, Repository: d.repo.Repository.Path, Disk: d.repo.Backup.Place.String(), Again: "mkimage-rescue " + command, Unreadable: func(line string) { d.p.note("%s", line) }}
	if err := d.mountBackup(ctx); err != nil {
		return err
	}
	o := unlock.Opening{Place: d.place}
	if d.f.passwordFile != "" {
		if o.Password, err = unlock.ReadPassword(d.f.passwordFile); err != nil {
			return err
		}
	} else {
		if err := d.findVault(ctx); err != nil {
			d.p.note("secrets: %v", err)
		}
		o.Vault, o.Names, o.Search = d.vault, secretsFor(d.repo, d.vault, d.m.Plan), d.search(ctx)
	}
	if d.Opened, err = unlock.Repository(ctx, o); err != nil {
		return err
	}
	d.p.after = append(d.p.after, func() error { d.Close(); return nil })
	d.p.note("repository %s: opened by %s", d.repo, d.How)
	return nil
}

// mountBackup mounts the backup's disk, of which nothing is changed.
func (d *desk) mountBackup(ctx context.Context) (err error) {
	d.place.Dir, err = d.m.FileSystem(ctx, d.repo.Backup.Place, "backup", true)
	return err
}

// release unmounts the system that was looked at, so that it can be mounted for writing.
func (d *desk) release(ctx context.Context) error {
	if d.dir == "" {
		return nil
	}
	if err := d.unmountSystem(); err != nil {
		return err
	}
	return d.mountBackup(ctx) // where it was
}

// unmountSystem unmounts all that is mounted, with the system.
func (d *desk) unmountSystem() error {
	d.dir = ""
	return d.m.Close()
}

// systemDir mounts the system read-only, and returns where.
func (d *desk) systemDir(ctx context.Context) (string, error) {
	switch {
	case d.dir != "":
		return d.dir, nil
	case d.system == nil:
		return "", firstboot.NewProblem(firstboot.CodeNoKey, "", "no system is known to be meant")
	case d.system.Hibernated:
		return "", firstboot.NewProblem(firstboot.CodeNoKey, "", "%s: a session sleeps on it, so it is not even looked into", d.system.ID)
	}
	sys, err := d.m.Mount(ctx, withoutESP(d.system), true, nil)
	if err != nil {
		return "", err
	}
	d.dir = sys.Dir
	return d.dir, nil
}

// withoutESP is a system whose EFI system partition is not mounted: data is brought back
// whatever became of that.
func withoutESP(s *inventory.System) *inventory.System {
	only := *s
	only.Mounts = slices.DeleteFunc(slices.Clone(s.Mounts), func(m inventory.Mount) bool { return m.Type == "vfat" })
	return &only
}

// findVault looks for the secrets, on the stick that this runs from or else in the system.
func (d *desk) findVault(ctx context.Context) error {
	program, err := d.p.tool(firstboot.ProgramsDir + "/" + firstboot.Program)
	if err != nil {
		return err
	}
	root := d.p.root
	if _, err := os.Stat(filepath.Join("/", root, config.RescuePlan)); err == nil {
		if d.vault, err = unlock.FindVault(filepath.Join("/", root), program); d.vault != nil || err != nil {
			return err
		}
	}
	if d.system == nil || d.system.Hibernated {
		return nil
	}
	if root, err = d.systemDir(ctx); err != nil {
		return err
	}
	d.vault, err = unlock.FindVault(root, program)
	return err
}

// search looks for the key on key media, then in the system.
func (d *desk) search(ctx context.Context) unlock.Search {
	s := unlock.Search{Recipients: d.vault.Recipients(), Ask: d.p.askHidden(), Note: func(line string) { d.p.note("%s", line) }}
	if d.key != nil {
		s.Places = []unlock.Place{{Name: d.key.Where, Read: func() ([]byte, error) { return d.key.Key.Text(), nil }}}
		return s
	}
	for _, k := range d.m.Inventory.KeyMedia {
		if k.Problem != "" {
			continue
		}
		name := "the key medium " + k.Place.String()
		if k.ESP {
			name = "the ESP " + k.Place.String()
		}
		s.Places = append(s.Places, unlock.Place{Name: name, Read: func() ([]byte, error) { return d.readMedium(k) }})
	}
	if d.system != nil {
		s.Places = append(s.Places, unlock.Place{Name: "the system " + d.system.ID, Read: func() ([]byte, error) { return d.readInstalled(ctx) }})
	}
	return s
}

// readMedium reads the key of a key medium.
func (d *desk) readMedium(k inventory.KeyMedium) ([]byte, error) {
	disk, err := d.m.Open(k.Disk, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	section := io.NewSectionReader(disk, k.Start, k.Size)
	if k.ESP {
		return keymedium.ReadEncrypted(section, k.Size)
	}
	_, text, err := keymedium.Read(section, k.Size)
	return text, err
}

// maxKey bounds the file of a key, in bytes.
const maxKey = 128 << 10

// readInstalled reads the key that the system has.
func (d *desk) readInstalled(ctx context.Context) ([]byte, error) {
	dir, err := d.systemDir(ctx)
	if err != nil {
		return nil, err
	}
	name := d.keyPath()
	text, err := durable.Read(durable.OS(dir), name, maxKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, firstboot.NewProblem(firstboot.CodeNoKey, "", "there is no %s", name)
	}
	return text, err
}

// keyPath is where the system has its key.
func (d *desk) keyPath() string {
	if d.vault != nil && d.vault.Config.Age != nil && d.vault.Config.Age.Path != "" {
		return d.vault.Config.Age.Path
	}
	return config.KeyPath
}

// secretsFor returns the names of the secrets that may be the password of a repository:
// first of those that are said to be.
func secretsFor(r machine.Repository, v *unlock.Vault, host *plan.Plan) []string {
	var likely, others []string
	add := func(disk, dir, secret string) {
		_, name, _ := strings.Cut(disk, "=")
		at := name != "" && (name == r.Backup.Label || strings.EqualFold(name, r.Backup.UUID))
		if at && strings.Trim(dir, "/") == strings.Trim(r.Repository.Path, "/") {
			likely = append(likely, secret)
		} else {
			others = append(others, secret)
		}
	}
	if v != nil && v.Config.Restore != nil {
		add(v.Config.Restore.Disk, v.Config.Restore.Repository, v.Config.Restore.Password)
	}
	if host != nil {
		for _, b := range host.Profile.Backup {
			add(b.Disk, b.Repository, b.Password)
		}
	}
	var names []string
	for _, name := range append(likely, others...) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// tool returns the path of a program that a stick has at a path, or else of one of the
// machine that this runs on.
func (p *program) tool(at string) (string, error) {
	name := filepath.Base(at)
	for _, full := range []string{filepath.Join("/", p.root, at), "/usr/lib/mkimage/" + name} {
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() {
			return full, nil
		}
	}
	if full, err := exec.LookPath(name); err == nil {
		return full, nil
	}
	return "", fault.New(fault.Input, "run it from a recovery stick, or install "+name, "%s: is neither on a stick nor in the search path", name)
}
