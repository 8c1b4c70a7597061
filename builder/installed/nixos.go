package installed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// databaseDir is where a store has its database.
const databaseDir = "/nix/var/nix/db"

// maxDatabase bounds a file of the database, in bytes. That of a store of 100,000 objects
// has 100 MB.
const maxDatabase = 8 << 30

// paramsFile is the text of a toplevel with its kernel parameters, without init=.
const paramsFile = "/kernel-params"

// The names of the parameters of a system and of its specialisations.
const (
	SystemParams         = "system"
	specialisationParams = "specialisation:"
)

var generationLink = regexp.MustCompile(`^system-([1-9][0-9]{0,8})-link$`)

// nixos reads a generation.
func (d *disk) nixos(ctx context.Context, generation int) error {
	top, err := d.generation(generation)
	if err != nil {
		return err
	}
	d.out.Toplevel = top.String()
	for _, stage := range []func() error{
		func() error { return d.closure(ctx, top) },
		func() error { return d.params(top.String()) },
		func() error { return d.kernels(top.String() + "/kernel-modules/lib/modules") },
		func() error { return d.units(ctx, top.String()+"/etc/systemd/system") },
	} {
		if err := stage(); err != nil {
			return err
		}
	}
	version, err := d.view.Text(top.String() + "/nixos-version")
	d.out.Release = strings.TrimSpace("NixOS " + version)
	return ignoreAbsent(err)
}

// generation finds the toplevel of a generation, or of the current one.
func (d *disk) generation(number int) (nix.StorePath, error) {
	name := fmt.Sprintf("system-%d-link", number)
	if number == 0 {
		target, err := d.view.Link(systemLink)
		if err != nil {
			return nix.StorePath{}, err
		}
		name = path.Base(target)
		match := generationLink.FindStringSubmatch(name)
		if match == nil {
			return nix.StorePath{}, fault.New(fault.Input, "", "%s: leads to %q, expected system-NUMBER-link", systemLink, target)
		}
		if number, err = strconv.Atoi(match[1]); err != nil {
			return nix.StorePath{}, err
		}
	}
	target, err := d.view.Link(path.Join(path.Dir(systemLink), name))
	if err != nil {
		return nix.StorePath{}, err
	}
	if target == "" {
		return nix.StorePath{}, d.noGeneration(number)
	}
	d.out.Generation = number
	top, err := nix.ParseStorePath(target)
	if err != nil {
		return nix.StorePath{}, fault.New(fault.Input, "", "generation %d: %w", number, err)
	}
	return top, nil
}

// noGeneration says which generations there are.
func (d *disk) noGeneration(number int) error {
	entries, err := d.view.List(path.Dir(systemLink))
	if err != nil {
		return err
	}
	var numbers []string
	for _, e := range entries {
		if match := generationLink.FindStringSubmatch(e.Name()); match != nil {
			numbers = append(numbers, match[1])
		}
	}
	return fault.New(fault.Input, "", "generation %d: is not there, found %s", number, strings.Join(numbers, ", "))
}

// closure reads what a toplevel needs from the database of the store.
func (d *disk) closure(ctx context.Context, top nix.StorePath) error {
	dir, err := os.MkdirTemp("", "mkimage-diff-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// A -journal file is copied for package storedb to refuse.
	for _, name := range []string{"db.sqlite", "db.sqlite-wal", "db.sqlite-journal", "schema"} {
		err := d.extract(ctx, path.Join(databaseDir, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	objects, err := storedb.Closure(ctx, filepath.Join(dir, "db.sqlite"), top)
	if err != nil {
		return fmt.Errorf("%s: %w", databaseDir, err)
	}
	d.packages(objects)
	return nil
}

// extract copies a file to the host.
func (d *disk) extract(ctx context.Context, name, to string) (err error) {
	f, err := d.view.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkDatabase(name, info); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, &untilDone{ctx, f})
	return err
}

func checkDatabase(name string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() || info.Size() > maxDatabase {
		return fault.New(fault.Input, "", "%s: is a %s of %d bytes, expected a file of at most %d", name, info.Mode(), info.Size(), int64(maxDatabase))
	}
	return nil
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// systemPath is the name of the object that refers to the packages which the
// configuration names (environment.systemPackages).
const systemPath = "system-path"

// packages takes store objects for packages.
func (d *disk) packages(objects []storedb.Object) {
	selected := map[nix.StorePath]bool{}
	for _, o := range objects {
		if o.Path.Name == systemPath {
			for _, r := range o.References {
				selected[r] = r != o.Path
			}
		}
	}
	for _, o := range objects {
		name, version := nix.SplitName(o.Path.Name)
		version, _ = nix.CutOutput(version)
		d.out.Packages = append(d.out.Packages, diff.Package{Name: name, Version: version, ID: o.Path.String(), Size: o.NarSize, Selected: selected[o.Path]})
	}
}

// params reads the kernel parameters of a system and of its specialisations.
func (d *disk) params(top string) error {
	read := func(id, top string) error {
		text, err := d.view.Text(top + paramsFile)
		if err != nil {
			return ignoreAbsent(err) // a container has no kernel
		}
		d.out.Entries = append(d.out.Entries, diff.Entry{ID: id, Words: words(text)})
		return nil
	}
	if err := read(SystemParams, top); err != nil {
		return err
	}
	list, err := d.view.List(top + "/specialisation")
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := read(specialisationParams+e.Name(), top+"/specialisation/"+e.Name()); err != nil {
			return err
		}
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
