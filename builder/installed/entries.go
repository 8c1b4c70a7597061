package installed

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/inspect"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// EntryPrefix begins the names of entries of the boot menu, which have their own ids
// behind it.
const EntryPrefix = "entry:"

// entries adds those of the boot menu. Of an entry that starts a system of NixOS only
// those words are taken that the boot loader adds to the parameters of that system: these
// are compared by themselves, and a new generation has another init= each time.
func (d *disk) entries() error {
	if d.esp == nil {
		return nil
	}
	boot, unread := inspect.ReadBoot(d.esp)
	d.out.Unread = append(d.out.Unread, unread...)
	for _, e := range boot.Entries {
		w := words(e.Options)
		if top, ok := toplevelOf(w); ok {
			params, err := d.view.Text(top + paramsFile)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			w = without(w, words(params))
		}
		d.out.Entries = append(d.out.Entries, diff.Entry{ID: EntryPrefix + e.ID, Words: w})
	}
	return nil
}

// toplevelOf returns the system of NixOS that a command line starts.
func toplevelOf(w []string) (string, bool) {
	for _, word := range w {
		init, ok := strings.CutPrefix(word, "init=")
		if !ok {
			continue
		}
		if _, err := nix.ParseStorePath(path.Dir(init)); err == nil {
			return path.Dir(init), true
		}
	}
	return "", false
}

// without takes the words of others and init= off a command line, each of them once.
func without(w, others []string) (left []string) {
	have := map[string]int{}
	for _, o := range others {
		have[o]++
	}
	for _, word := range w {
		switch {
		case strings.HasPrefix(word, "init="+nix.StoreDir+"/"):
		case have[word] > 0:
			have[word]--
		default:
			left = append(left, word)
		}
	}
	return left
}

// words splits a command line as the kernel does: at spaces that are not in double
// quotes, which stay.
func words(line string) (list []string) {
	quoted, from := false, -1
	for i := 0; i <= len(line); i++ {
		switch {
		case i == len(line) || !quoted && strings.ContainsRune(" \t\n\r", rune(line[i])):
			if from >= 0 {
				list = append(list, line[from:i])
			}
			from = -1
			continue
		case line[i] == '"':
			quoted = !quoted
		}
		if from < 0 {
			from = i
		}
	}
	return list
}
