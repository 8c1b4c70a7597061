// Package decrypt puts the secrets of a system without sops-nix where sops-nix
// puts them: decrypted files in /run/secrets, in memory that is never swapped.
//
// /run/secrets is a symlink to /run/secrets.d/N, the generation: a directory
// that is made whole before the symlink is switched to it, in one step. So who
// reads there finds all secrets of one generation, the old or the new.
//
// What it does not do: it looks for no key, and keeps no journal. Two of it do
// not run at once.
package decrypt

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Dirs says where a system is. The zero value is the one that runs.
type Dirs struct {
	Root string // of all files but those in Run; "" is /
	Run  string // absolute; symlinks have it in their text; "" is /run
	// Mount mounts memory that is never swapped at a directory, unless it was
	// done before. It returns what is to be said about it, or "". nil mounts
	// ramfs, or else tmpfs with the option noswap.
	Mount func(dir string) (note string, err error)
}

// Report is what was done.
type Report struct {
	Generation int      // from 1
	Names      []string // of the secrets, in the order of the configuration
	Removed    []string // symlinks of secrets that the configuration no more has
	Notes      []string // what else is to be told, for people
}

// Names below Dirs.Run.
const (
	linkName   = "secrets"
	parentName = "secrets.d"
)

// dirMode lets everybody into a directory who knows a name in it, and nobody
// but root list it: the mode that sops-nix gives.
const dirMode fs.FileMode = 0o751

// Install decrypts all secrets of a configuration into a new generation and
// switches to it. Every error is a *firstboot.Problem: those of secrets.Decrypt,
// or CodeSecret with the secret's name. After one, what was there before is
// there still, and nothing of the new generation. There is one exception: a
// symlink to a secret that could be made, and then not be put into its place;
// the new generation is in place then, and in the Report.
func Install(c *firstboot.Config, k *agekey.Key, d Dirs) (Report, error) {
	return newInstaller(c, k, d).install()
}

// installer installs one generation.
type installer struct {
	c       *firstboot.Config
	key     *agekey.Key
	dirs    Dirs // without empty fields
	files   durable.FS
	plain   map[source]*secrets.Plain
	report  Report
	decrypt func(data []byte, format secrets.Format, ids []age.Identity) (*secrets.Plain, error)
}

// source is a file that secrets come from.
type source struct{ file, format string }

func newInstaller(c *firstboot.Config, k *agekey.Key, d Dirs) *installer {
	d.Root, d.Run = cmp.Or(d.Root, "/"), cmp.Or(d.Run, "/run")
	if d.Mount == nil {
		d.Mount = mountMemory
	}
	return &installer{c: c, key: k, dirs: d, files: durable.OS(d.Root), plain: map[source]*secrets.Plain{}, decrypt: secrets.Decrypt}
}

// in returns where a file of the system is.
func (i *installer) in(name string) string { return filepath.Join(i.dirs.Root, name) }

// link is the symlink that is switched, parent the directory of generations.
func (i *installer) link() string   { return filepath.Join(i.dirs.Run, linkName) }
func (i *installer) parent() string { return filepath.Join(i.dirs.Run, parentName) }

// item is a secret and whose its file becomes.
type item struct {
	firstboot.Secret
	owner
}

func (i *installer) install() (Report, error) {
	items, err := i.check()
	if err != nil {
		return Report{}, err
	}
	lock, err := i.open()
	if err != nil {
		return Report{}, err
	}
	defer lock.Close()
	if err := i.next(); err != nil {
		return Report{}, err
	}
	dir := i.generation(i.report.Generation)
	links := &links{installer: i}
	err = i.fill(dir, items)
	if err == nil {
		err = links.stage()
	}
	if err == nil {
		err = i.switchTo(dir)
	}
	if err != nil {
		links.unstage()
		if gone := os.RemoveAll(dir); gone != nil {
			err = problem("rm -r "+dir, "%w, and half a generation is left: %w", err, bare(gone))
		}
		return Report{}, err
	}
	for _, it := range items {
		i.report.Names = append(i.report.Names, it.Name)
	}
	i.removeOthers(i.report.Generation)
	err = links.commit()
	return i.report, err
}

// check finds what can be found before anything is written.
func (i *installer) check() ([]item, error) {
	known, err := i.accounts()
	if err != nil {
		return nil, err
	}
	if info, err := os.Lstat(i.link()); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return nil, problem("move it away", "%s: not a symlink, which it is when sops-nix or mkimage made it", i.link())
	}
	var items []item
	names, paths := map[string]bool{}, map[string]bool{}
	for _, s := range i.c.Secrets {
		own, err := known.owner(s)
		switch {
		case err != nil:
		case s.Name == "" || s.Name == "." || s.Name == ".." || strings.ContainsAny(s.Name, "/\x00"):
			err = errors.New("expected the name of a file")
		case names[s.Name]:
			err = errors.New("there are two of the name")
		case s.Mode > 0o777:
			err = problem("", "mode %o, expected permission bits alone", s.Mode)
		case s.Path != "" && paths[s.Path]:
			err = problem("", "path %s is that of another secret too", s.Path)
		case s.Path != "":
			err = i.checkPath(s.Path)
		}
		if err != nil {
			return nil, located(s, err)
		}
		names[s.Name], paths[s.Path] = true, true
		items = append(items, item{s, own})
	}
	return items, nil
}

// fill makes a generation.
func (i *installer) fill(dir string, items []item) error {
	if err := makeDir(dir); err != nil {
		return problem("", "%s: %w", dir, bare(err))
	}
	for _, it := range items {
		value, err := i.value(it.Secret)
		if err == nil {
			err = write(filepath.Join(dir, it.Name), value, it)
			clear(value)
		}
		if err != nil {
			return located(it.Secret, err)
		}
	}
	return nil
}

// value returns what a secret is. A file is read and decrypted once.
func (i *installer) value(s firstboot.Secret) ([]byte, error) {
	from := source{s.File, s.Format}
	plain := i.plain[from]
	if plain == nil {
		data, err := i.read(s.File)
		if err == nil {
			plain, err = i.decrypt(data, secrets.Format(s.Format), i.key.Identities())
		}
		if err != nil {
			return nil, firstboot.Located(s.File, err)
		}
		i.plain[from] = plain
	}
	value, err := plain.Value(s.Key)
	if err != nil {
		return nil, firstboot.Located(s.File, err)
	}
	return value, nil
}

// read returns a file of secrets: one byte more than is allowed of one that is
// too large, which Decrypt refuses.
func (i *installer) read(name string) ([]byte, error) {
	f, err := os.Open(i.in(name))
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, secrets.MaxFile+1))
	return data, bare(err)
}

// write makes a secret's file. Nobody but its owner ever reads it: it is root's
// alone until it is whole, and gets its mode last.
func write(name string, value []byte, it item) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return bare(err)
	}
	defer func() { err = errors.Join(bare(err), bare(f.Close())) }()
	if _, err := f.Write(value); err != nil {
		return err
	}
	if err := f.Chown(int(it.uid), int(it.gid)); err != nil {
		return err
	}
	return f.Chmod(fs.FileMode(it.Mode))
}

// problem is an error of this package.
func problem(hint, format string, args ...any) error {
	return firstboot.NewProblem(firstboot.CodeSecret, hint, format, args...)
}

// located puts the name of a secret before an error, and gives it a code if it
// has none.
func located(s firstboot.Secret, err error) error {
	if firstboot.CodeOf(err) == 0 {
		err = problem("", "%w", err)
	}
	return firstboot.Located("secret "+s.Name, err)
}

// bare is err without the names of a call and of a file.
func bare(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
