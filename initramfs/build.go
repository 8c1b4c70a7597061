package initramfs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/embedded"
)

// Params says what an archive is made of.
type Params struct {
	Root   *fstree.Tree // the system's files, frozen; only read
	Kernel string       // version, as uname -r prints it
	// ModuleDir and FirmwareDir are paths in Root of the directory that has
	// modules.dep, and of that of firmware. Each is looked for where it is "": several
	// NixOS systems in one tree have their own.
	ModuleDir, FirmwareDir string
	// Modules are names of kernel modules, in the order in which they are to
	// be loaded; what they depend on comes by itself. What the Config needs is
	// added.
	Modules []string
	// Firmware are paths below /usr/lib/firmware besides those that the
	// modules name: patterns as in path.Match, without a suffix .xz or .zst.
	Firmware  []string
	Microcode bool // early CPU microcode, as far as Root has it
	Shell     bool // the rescue shell
	Config    config.Config
	// Programs go in instead of the embedded ones if Init is set.
	Programs embedded.Programs
}

// Archive is a finished initramfs.
type Archive struct {
	Data      []byte   // a multiple of 4 bytes long
	Modules   []string // paths in the archive, absolute, in the order of loading
	Firmware  []string // paths in the archive, absolute, sorted
	Microcode []string // names of the early microcode files, sorted
	Segments  []Segment
}

// Segment is one part of an archive.
type Segment struct {
	Name   string // "microcode", "main", "shell" or "prelude"
	Length int64  // bytes, with the zeros behind it
}

// directories are there for mounting over and for programs that expect them.
var directories = []string{"dev", "etc", "proc", "root", "run", "sys", "tmp", "var"}

// Build makes an archive. Its bytes depend on p alone.
func Build(ctx context.Context, p Params) (*Archive, error) {
	programs, err := p.programs()
	if err != nil {
		return nil, err
	}
	a := &Archive{}
	c, err := a.main(ctx, p, programs)
	if err != nil {
		return nil, fmt.Errorf("initramfs: %w", err)
	}
	if err := a.addMicrocode(p); err != nil {
		return nil, fmt.Errorf("initramfs: %w", err)
	}
	if err := a.compress("main", c); err != nil {
		return nil, fmt.Errorf("initramfs: %w", err)
	}
	if p.Shell {
		a.append("shell", programs.Busybox)
	}
	return a, ctx.Err()
}

// Prelude makes an archive that is unpacked beside the initrd of a system itself, of
// which it replaces nothing: all of it is below config.PreludeDir, but for what PID 1 opens
// where the kernel has no console. It has neither
// microcode nor a shell, whatever p says. Its bytes depend on p alone.
func Prelude(ctx context.Context, p Params) (*Archive, error) {
	programs, err := p.programs()
	if err != nil {
		return nil, err
	}
	a := &Archive{}
	c, err := a.main(ctx, p, programs)
	if err == nil {
		c = c.below(config.PreludeDir[1:])
		c.addNull()
		err = a.compress("prelude", c)
	}
	if err != nil {
		return nil, fmt.Errorf("prelude: %w", err)
	}
	return a, ctx.Err()
}

// programs returns the programs that are asked for, or the embedded ones.
func (p *Params) programs() (embedded.Programs, error) {
	if p.Programs.Init != nil {
		return p.Programs, nil
	}
	return embedded.Load()
}

// main returns all of an archive but microcode and shell.
func (a *Archive) main(ctx context.Context, p Params, programs embedded.Programs) (*contents, error) {
	c := newContents()
	for _, d := range directories {
		c.addDir(d)
	}
	c.addNull()
	c.addFile("init", 0o755, programs.Init)
	if p.Config.Hibernates() {
		c.addFile(config.HibernateProgram[1:], 0o755, programs.Hibernate)
	}
	if err := c.addConfig(p.Config); err != nil {
		return nil, err
	}
	modules, err := a.addModules(ctx, c, p)
	if err != nil {
		return nil, err
	}
	return c, a.addFirmware(c, p, modules)
}

// compress adds a segment of entries.
func (a *Archive) compress(name string, c *contents) error {
	data, err := c.compressed()
	if err == nil {
		a.append(name, data)
	}
	return err
}

// append adds a segment. The kernel looks for an uncompressed one, such as a
// boot loader may add behind ours, at multiples of 4.
func (a *Archive) append(name string, data []byte) {
	before := len(a.Data)
	a.Data = append(a.Data, data...)
	a.Data = append(a.Data, make([]byte, -len(a.Data)&3)...)
	a.Segments = append(a.Segments, Segment{name, int64(len(a.Data) - before)})
}

// addConfig adds the file that tells mkimage-init what to do.
func (c *contents) addConfig(conf config.Config) error {
	if conf.Version == 0 {
		conf.Version = config.Version
	}
	data, err := json.MarshalIndent(conf, "", "\t")
	if err != nil {
		return err
	}
	c.addFile(config.Path[1:], 0o644, append(data, '\n'))
	return nil
}

// addModules adds the modules and the list of them, and returns their names
// and their decompressed content in the order of loading.
func (a *Archive) addModules(ctx context.Context, c *contents, p Params) ([]loaded, error) {
	x, err := openIndex(p.Root, p.Kernel, p.ModuleDir)
	if err != nil {
		return nil, err
	}
	order, err := p.order(x)
	if err != nil {
		return nil, err
	}
	modules, err := x.load(ctx, order)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		at := p.modulePath(m.moduleFile)
		c.addFile(at, 0o644, m.data)
		a.Modules = append(a.Modules, "/"+at)
	}
	c.addFile(config.Modules[1:], 0o644, p.list(order))
	return modules, nil
}

// order returns the modules of an archive in the order of loading.
func (p *Params) order(x *index) ([]ordered, error) {
	wants := slices.DeleteFunc(p.Config.Wants(), func(name string) bool { _, known := x.find(name); return !known })
	return x.closure(slices.Concat(p.Modules, p.Config.Needs(), wants))
}

// modulePath returns where an archive has a module.
func (p *Params) modulePath(m moduleFile) string {
	return "lib/modules/" + p.Kernel + "/" + m.plainPath()
}

// list returns the text of a list of modules, see config.Modules.
func (p *Params) list(order []ordered) []byte {
	var list strings.Builder
	for _, m := range order {
		list.WriteString(strings.Join(append([]string{"/" + p.modulePath(m.moduleFile)}, m.after...), " ") + "\n")
	}
	return []byte(list.String())
}

// input is an error about what the source holds or lacks.
func input(hint, format string, args ...any) error {
	return fault.New(fault.Input, hint, format, args...)
}
