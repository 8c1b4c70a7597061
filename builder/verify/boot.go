package verify

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/loader/grubimage"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/uki/reader"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// maxBootFile bounds the kernels and archives that are read into memory.
const maxBootFile = 1 << 30

// checkBoot follows what the firmware does, down to the initramfs.
func (v *run) checkBoot() error {
	c := v.check("boot", "/"+bls.FallbackPath)
	if v.esp == nil {
		c.Skipped = "the ESP cannot be read"
		return nil
	}
	program, data := v.program(c, bls.FallbackPath)
	if program == nil {
		return nil
	}
	if program.IsUKI() {
		c.Subject = "unified kernel image /" + bls.FallbackPath
		v.checkUKI(c, program, data)
		return nil
	}
	if _, err := program.Section(grubimage.Section); err == nil {
		return v.checkGRUB(c, data)
	}
	return v.checkMenu(c)
}

// program opens an EFI program of the ESP and reports what is wrong with it.
func (v *run) program(c *Check, path string) (*reader.Program, []byte) {
	where := "ESP: /" + path
	data, err := v.esp.ReadAtMost(path, maxBootFile)
	if err != nil {
		c.problem(where, "%v", err)
		return nil, nil
	}
	return openProgram(c, where, data), data
}

func openProgram(c *Check, where string, data []byte) *reader.Program {
	p, err := reader.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		c.problem(where, "%v", err)
		return nil
	}
	for _, bad := range p.Check() {
		c.problem(where, "%v", bad)
	}
	return p
}

// checkMenu checks systemd-boot's configuration and every entry.
func (v *run) checkMenu(c *Check) error {
	files, err := v.esp.ReadDir(bls.EntriesDir)
	if err != nil {
		c.problem("ESP: /"+bls.EntriesDir, "%v", err)
		return nil
	}
	var names []string
	for _, f := range files {
		if _, ok := bls.ParseName(f.Name()); ok && f.Type().IsRegular() {
			names = append(names, f.Name())
		}
	}
	c.Subject = fmt.Sprintf("systemd-boot, %d entries", len(names))
	if len(names) == 0 {
		c.problem("ESP: /"+bls.EntriesDir, "holds no entry")
	}
	v.checkConf(c, names)
	checked := map[string]*archive{} // entries share their files
	for _, name := range names {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		v.checkEntry(c, name, checked)
	}
	v.wantEntries(c, names)
	return nil
}

// checkConf wants the default to be one of the entries.
func (v *run) checkConf(c *Check, entries []string) {
	where := "ESP: /" + bls.ConfFile
	text, err := v.esp.ReadAtMost(bls.ConfFile, maxText)
	if err != nil {
		c.problem(where, "%v", err)
		return
	}
	conf, err := bls.ParseConf(text)
	if err != nil {
		c.problem(where, "%v", err)
		return
	}
	matches := func(name string) bool {
		ok, err := path.Match(conf.Default, name)
		return ok && err == nil
	}
	if conf.Default != "" && !slices.ContainsFunc(entries, matches) {
		c.problem(where, "default %q is none of the entries", conf.Default)
	}
}

// maxText bounds the text files of the ESP.
const maxText = 1 << 20

// wantEntries wants the entries of the plan, and those of a NixOS in the place of the
// first, among the names of entry files.
func (v *run) wantEntries(c *Check, names []string) {
	for _, file := range v.wantedEntries() {
		if !slices.Contains(names, file) {
			c.problem("ESP: /"+bls.EntriesDir, "has no entry %s, which the plan asks for", file)
		}
	}
}

// wantedEntries returns the file names of those entries.
func (v *run) wantedEntries() (wanted []string) {
	if v.manifest == nil {
		return nil
	}
	for _, e := range v.manifest.Plan.Entries {
		wanted = append(wanted, e.ID+".conf")
	}
	if list := v.manifest.Inputs.Generations; len(list) > 0 && v.manifest.Plan.Medium == nil {
		wanted = wanted[min(1, len(wanted)):]
		for _, g := range list {
			wanted = append(wanted, g.File)
		}
	}
	return wanted
}

// checkEntry checks an entry, its kernel and its initramfs.
func (v *run) checkEntry(c *Check, name string, checked map[string]*archive) {
	where := "ESP: /" + bls.EntriesDir + "/" + name
	text, err := v.esp.ReadAtMost(bls.EntriesDir+"/"+name, maxText)
	if err != nil {
		c.problem(where, "%v", err)
		return
	}
	e, err := bls.ParseEntry(text)
	if err != nil {
		c.problem(where, "%v", err)
		return
	}
	v.checkStart(c, start{where, e.Linux, e.Initrd, e.Files(), e.Options}, checked)
}

// start is what an entry of a menu starts.
type start struct {
	where   string // the entry
	linux   string // a path from the root of the ESP, with a leading slash
	initrd  []string
	files   []string // all that it names
	options string
}

// checkStart checks the files that an entry names, and its command line.
func (v *run) checkStart(c *Check, e start, checked map[string]*archive) {
	for _, p := range e.files {
		info, err := v.esp.Stat(strings.TrimPrefix(p, "/"))
		switch {
		case err != nil:
			c.problem(e.where, "names %s: %v", p, err)
		case !info.Mode().IsRegular():
			c.problem(e.where, "names %s, which is a directory", p)
		}
	}
	archives, top := e.initrd, ""
	if startsByPrelude(e.options) && len(archives) > 0 {
		// What the system itself has may be compressed in any way that its kernel knows.
		archives, top = archives[len(archives)-1:], config.PreludeDir[1:]+"/"
	}
	initrd := strings.Join(archives, " ")
	if _, done := checked[initrd]; !done {
		checked[initrd] = v.openInitrd(c, archives, top)
	}
	if _, done := checked[e.linux]; !done && e.linux != "" {
		checked[e.linux] = nil
		v.program(c, strings.TrimPrefix(e.linux, "/"))
	}
	v.checkCmdline(c, e.where, e.options, checked[initrd])
}

// startsByPrelude reports whether a command line starts our part of a system that has an
// initrd of its own.
func startsByPrelude(cmdline string) bool {
	return slices.Contains(strings.Fields(cmdline), "rdinit="+config.PreludeInit)
}

// openInitrd reads the archives of an entry, which the kernel gets in a row. Ours is below
// the directory top of them.
func (v *run) openInitrd(c *Check, paths []string, top string) *archive {
	var data []byte
	for _, p := range paths {
		part, err := v.esp.ReadAtMost(strings.TrimPrefix(p, "/"), maxBootFile-int64(len(data)))
		if err != nil {
			return nil // its entry has reported that
		}
		data = append(data, part...)
	}
	return v.checkArchive(c, "ESP: "+strings.Join(paths, " "), data, top)
}

// checkUKI checks the parts of a unified kernel image.
func (v *run) checkUKI(c *Check, p *reader.Program, data []byte) {
	where := "ESP: /" + bls.FallbackPath
	content := func(name string) []byte {
		s, err := p.Section(name)
		if err == nil && s.Offset+s.Size() > int64(len(data)) {
			err = fmt.Errorf("section %s goes beyond the file", name)
		}
		if err != nil {
			c.problem(where, "%v", err)
			return nil
		}
		return data[s.Offset : s.Offset+s.Size()]
	}
	if linux := content(".linux"); linux != nil {
		// The kernel's checksum is over its file, which ends somewhere in the
		// padding of the section.
		if _, err := reader.Open(bytes.NewReader(linux), int64(len(linux))); err != nil {
			c.problem(where+", section .linux", "%v", err)
		}
	}
	var a *archive
	if initrd := content(".initrd"); initrd != nil {
		a = v.checkArchive(c, where+", section .initrd", initrd, "")
	}
	if cmdline := content(".cmdline"); cmdline != nil {
		v.checkCmdline(c, where+", section .cmdline", string(cmdline), a)
	}
}

// checkCmdline wants the root that a command line names to be in the image.
func (v *run) checkCmdline(c *Check, where, cmdline string, a *archive) {
	words := strings.Fields(cmdline)
	value := func(key string) string {
		found := ""
		for _, w := range words {
			if rest, ok := strings.CutPrefix(w, key+"="); ok {
				found = rest
			}
		}
		return found
	}
	key := "root"
	if startsByPrelude(cmdline) {
		key = plan.RootKey // the other one is for the system's own initrd, as are its flags
	}
	if root := value(key); v.rootPart != nil && !strings.EqualFold(root, "PARTUUID="+v.rootPart.GUID.String()) {
		c.problem(where, "%s=%s, the root partition is PARTUUID=%s", key, root, v.rootPart.GUID)
	}
	for option := range strings.SplitSeq(value("rootflags"), ",") {
		if subvolume, ok := strings.CutPrefix(option, "subvol="); ok {
			v.wantSubvolume(c, where, subvolume)
		}
	}
	if slices.Contains(words, plan.FactoryWord) && a != nil && len(a.config.Factory) == 0 {
		c.problem(where, "has %s, which the initramfs knows nothing of", plan.FactoryWord)
	}
}

// wantSubvolume wants a directory of this path in the root file system.
func (v *run) wantSubvolume(c *Check, where, subvolume string) {
	if v.top == nil {
		return
	}
	name := strings.Trim(subvolume, "/")
	if !fs.ValidPath(name) && name != "" {
		c.problem(where, "subvolume %q is no path", subvolume)
		return
	}
	list, err := v.root.Subvolumes()
	if err != nil {
		return // the check of the root file system has reported that
	}
	for _, s := range list {
		if s.Path == name {
			return
		}
	}
	c.problem(where, "subvolume %q is not there", subvolume)
}

// wantConfig wants the subvolumes that an initramfs mounts.
func (v *run) wantConfig(c *Check, where string, conf config.Config) {
	for _, m := range slices.Concat(conf.Mounts, conf.Factory) {
		v.wantSubvolume(c, where, m.Subvolume)
	}
}
