package bootmenu

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// defaultKey is the line of loader.conf that names the entry which starts by itself.
const defaultKey = "default"

// Choose makes an entry of a mounted ESP, by its file name, the one that starts by
// itself. All else in loader.conf stays as it is, to the byte. The error is of class
// fault.Usage where there is no such entry.
//
// The firmware may hold a choice that goes before the file's: package efivar has it
// as LoaderEntryDefault.
func Choose(f durable.FS, name string) error {
	if err := chooses(f, name); err != nil {
		return err
	}
	conf, err := durable.Read(f, confFile, maxEntry)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("boot menu: %w", err)
	}
	if err := write(f, confFile, withDefault(conf, name)); err != nil {
		return fmt.Errorf("boot menu: %w", err)
	}
	return nil
}

// chooses refuses what the menu could not start.
func chooses(f durable.FS, name string) error {
	const hint = "the inventory lists the entries"
	if _, ok := bls.ParseName(name); !ok {
		return fault.New(fault.Usage, hint, "entry %q: expected the name of a file, such as nixos-generation-7.conf", name)
	}
	text, err := durable.Read(f, path.Join(entriesDir, name), maxEntry)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, hint, "entry %s: the menu has none of this name", name)
	}
	if err == nil {
		var entry bls.Entry
		if entry, err = bls.ParseEntry(text); err == nil {
			err = startable(f, entry)
		}
	}
	if err != nil {
		return fault.New(fault.Target, "choose another one, or repair the boot", "entry %s: %w", name, err)
	}
	return nil
}

// startable is an error where a file is missing that an entry names.
func startable(f durable.FS, entry bls.Entry) error {
	for _, name := range entry.Files() {
		if _, err := f.Lstat(path.Join("/", name)); err != nil {
			return err
		}
	}
	return nil
}

// withDefault returns the text of loader.conf with a line of the default where the
// first one was, or at the end.
func withDefault(conf []byte, name string) []byte {
	line := defaultKey + " " + name + "\n"
	var b strings.Builder
	done := false
	for text := range strings.Lines(string(conf)) {
		if key, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(text), "\t", " "), " "); key != defaultKey {
			b.WriteString(text)
			continue
		}
		if !done {
			b.WriteString(line)
			done = true
		}
	}
	if !done {
		if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
			b.WriteString("\n")
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}
