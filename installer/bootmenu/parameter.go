package bootmenu

import (
	"fmt"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// optionsKey is that of the lines of an entry that have the command line (Boot Loader
// Specification, "Type #1 Boot Loader Entry Keys").
const optionsKey = "options"

// SetParameter gives a parameter of the kernel's command line another value in an entry
// of a mounted ESP, by its file name, wherever the entry has that parameter. All else
// stays as it is, to the byte. It reports whether something was changed.
func SetParameter(f durable.FS, name, key, value string) (changed bool, err error) {
	if _, ok := bls.ParseName(name); !ok {
		return false, fault.New(fault.Usage, "", "entry %q: expected the name of a file, such as nixos-generation-7.conf", name)
	}
	at := path.Join(entriesDir, name)
	text, err := durable.Read(f, at, maxEntry)
	if err != nil {
		return false, fmt.Errorf("boot menu: %w", err)
	}
	made := withParameter(string(text), key, value)
	if made == string(text) {
		return false, nil
	}
	if err := write(f, at, []byte(made)); err != nil {
		return false, fmt.Errorf("boot menu: %w", err)
	}
	return true, nil
}

func withParameter(text, key, value string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 0 || fields[0] != optionsKey {
			b.WriteString(line)
			continue
		}
		rest := line
		for rest != "" {
			n := strings.IndexFunc(rest, isBlank)
			if n < 0 {
				n = len(rest)
			}
			if word := rest[:n]; strings.HasPrefix(word, key+"=") {
				b.WriteString(key + "=" + value)
			} else {
				b.WriteString(word)
			}
			blanks := rest[n:]
			m := strings.IndexFunc(blanks, func(r rune) bool { return !isBlank(r) })
			if m < 0 {
				m = len(blanks)
			}
			b.WriteString(blanks[:m])
			rest = blanks[m:]
		}
	}
	return b.String()
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }
