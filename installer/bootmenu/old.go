package bootmenu

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/beside"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// beforeMark is in the names of entries of systems before an installation.
const beforeMark = "-before-"

// beforeSortKey puts such an entry behind all others of ours.
const beforeSortKey = "mkimage-9-before"

// findOld finds the entry that boots the old system: that which the menu starts by itself,
// unless that is the new one's already. Then, and where a power cut has left the default
// empty, it is what was kept.
func (r *replacement) findOld() error {
	err := r.readDefault()
	if err == nil && !slices.Contains(strings.Fields(r.before.Options), beside.SwitchWord+"="+r.id) {
		return nil
	}
	if kept, ok := r.keptBefore(); ok {
		r.before = kept
		return nil
	}
	return err
}

// readDefault reads the entry that the menu starts by itself.
func (r *replacement) readDefault() error {
	text, err := durable.Read(r.fs, confFile, maxEntry)
	if err != nil {
		return fault.New(fault.Target, "", "the target has no menu of systemd-boot: %w", err)
	}
	conf, err := bls.ParseConf(text)
	if err != nil {
		return fault.New(fault.Target, "", "target: %s: %w", confFile, err)
	}
	if r.before, err = r.firstOf(conf.Default); err != nil {
		return fault.New(fault.Target, "", "target: default entry %q: %w", conf.Default, err)
	}
	return nil
}

// firstOf returns the entry that systemd-boot takes of those that a pattern fits: such as
// the newest generation, where NixOS makes all of them the default. Names are compared
// without the count of boots that they may have.
func (r *replacement) firstOf(pattern string) (first bls.Entry, err error) {
	names, err := listFiles(r.fs, entriesDir)
	if err != nil {
		return first, err
	}
	var all []bls.Named
	var broken error
	for _, name := range names {
		if !strings.HasSuffix(name, ".conf") || !fits(pattern, name) {
			continue
		}
		text, err := durable.Read(r.fs, path.Join(entriesDir, name), maxEntry)
		if err != nil {
			return first, err
		}
		if e, err := bls.ParseEntry(text); err == nil {
			all = append(all, bls.Named{File: name, Entry: e})
		} else {
			broken = fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case len(all) > 0:
		return slices.MinFunc(all, bls.Compare).Entry, nil
	case broken != nil:
		return first, broken
	}
	return first, fmt.Errorf("no entry of this name")
}

// fits reports whether the file of an entry has a name of a pattern.
func fits(pattern, file string) bool {
	if id, ok := bls.ParseName(file); ok {
		file = id + ".conf"
	}
	ok, err := path.Match(pattern, file)
	return pattern == file || ok && err == nil
}

// beforeTitle ends the title of an entry of a system before an installation.
const beforeTitle = " (before the last installation)"

// keptBefore returns what this installation has kept of the old system; and where it has
// nothing, what the only other one that was cut short has. Of several others nobody knows
// which is the last.
func (r *replacement) keptBefore() (kept bls.Entry, ok bool) {
	names, err := listFiles(r.fs, entriesDir)
	if err != nil {
		return kept, false
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, "mkimage-") || !strings.Contains(name, beforeMark) || !strings.HasSuffix(name, ".conf")
	})
	if slices.Contains(names, r.beforeName()) {
		names = []string{r.beforeName()}
	}
	if len(names) != 1 {
		return kept, false
	}
	text, err := durable.Read(r.fs, path.Join(entriesDir, names[0]), maxEntry)
	if err == nil {
		kept, err = bls.ParseEntry(text)
	}
	kept.Title = strings.TrimSuffix(kept.Title, beforeTitle)
	return kept, err == nil
}

// keepOld puts what the old system starts with where no system removes it, and makes the
// rest of it ours: with an initramfs that is not, nobody would know which subvolumes it
// had. Then it starts with that of the new system, and its kernel.
func (r *replacement) keepOld() error {
	e := &r.before
	if !slices.ContainsFunc(e.Initrd, isInitramfs) {
		own, err := r.ownStart()
		if err != nil {
			return err
		}
		e.Linux, e.Initrd, e.Version = own.Linux, own.Initrd, own.Version
		e.Options = strings.Join(append(diskWords(own.Options, true), diskWords(e.Options, false)...), " ")
	}
	for _, file := range append([]*string{&e.Linux}, pointers(e.Initrd)...) {
		if *file == "" || ours(*file) {
			continue
		}
		data, err := durable.Read(r.fs, *file, maxFile)
		if err != nil {
			return fault.New(fault.Target, "", "target: %w", err)
		}
		*file = path.Join(kernelsDir, "before-"+r.id, path.Base(*file))
		if err := durable.MkdirAll(r.fs, path.Dir(*file), 0o755); err != nil {
			return err
		}
		if err := r.write(*file, data); err != nil {
			return err
		}
	}
	return nil
}

// isInitramfs reports whether an archive on the ESP is an initramfs of mkimage's. A
// prelude is none.
func isInitramfs(file string) bool {
	return ours(file) || strings.HasPrefix(file, nixosDir+"/mkimage-") && !strings.HasSuffix(file, preludeSuffix)
}

func pointers(list []string) []*string {
	var out []*string
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

// diskWords returns the words of a command line that say what of the disk is the root,
// or all others.
func diskWords(options string, of bool) []string {
	return slices.DeleteFunc(strings.Fields(options), func(word string) bool {
		key, _, _ := strings.Cut(word, "=")
		return slices.Contains([]string{"root", "rootflags", "rootfstype", "ro", "rw", "resume", "resume_offset", "rdinit", rootWord}, key) != of
	})
}

// writeBefore writes the entry of the old system. It is there before it is needed.
func (r *replacement) writeBefore() error {
	e := r.before
	e.Title += beforeTitle
	e.SortKey = beforeSortKey
	words := slices.DeleteFunc(strings.Fields(e.Options), func(w string) bool {
		return strings.HasPrefix(w, beside.SwitchWord+"=") || strings.HasPrefix(w, beside.BackWord+"=")
	})
	e.Options = strings.Join(append(words, beside.BackWord+"="+r.id), " ")
	text, err := e.Encode()
	if err != nil {
		return err
	}
	return r.write(path.Join(entriesDir, r.beforeName()), text)
}

// beforeName is the file of the old system's entry.
func (r *replacement) beforeName() string {
	return "mkimage-" + strings.TrimPrefix(strings.TrimSuffix(r.first, ".conf"), "mkimage-") + beforeMark + r.id + ".conf"
}
