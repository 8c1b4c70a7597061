package bootspec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

// Dir is where NixOS has its kernels, from the root of the ESP. Its builder
// deletes every other file there.
const Dir = "EFI/nixos"

// Layout is one of the ways in which NixOS's builder lays out entries. The newer
// builder removes what either has written and writes it anew; the older one
// leaves entries of ByContent where they are. A closure is best served with the
// layout of the builder that it has.
type Layout int

// The layouts.
const (
	ByGeneration Layout = iota // to NixOS 26.05: files named by generation
	ByContent                  // after it: files named by the SHA-256 of their text
)

// Generation is one system that can be started.
type Generation struct {
	Profile string // "" is the profile "system"
	Number  int    // from 1
	Built   time.Time
	Spec    *Spec
}

// EntryOptions are what the builder knows from elsewhere. The zero value is that
// of NixOS itself on a machine that has no id yet.
type EntryOptions struct {
	Layout     Layout
	DistroName string // system.nixos.distroName; "" is "NixOS"
	MachineID  string // 32 hexadecimal digits; "" leaves it out

	// Resolve follows the links in the store: the builder names copies by where
	// a path ends. Nil takes paths as they are.
	Resolve func(Path) (Path, error)
}

// Copy is a file that an entry needs on the ESP.
type Copy struct {
	From Path
	To   string // from the root of the ESP, without a slash in front
}

// Entry is one entry of the menu. Paths are from the root of the ESP, without a
// slash in front.
type Entry struct {
	Profile        string
	Number         int
	Specialisation string // "" is the generation itself

	FileName     string // in bls.EntriesDir
	Title        string
	SortKey      string
	Version      string
	Kernel       string
	Initrd       string
	ExtraInitrds []string
	DeviceTree   string // "" where there is none
	Options      string // the kernel command line
	MachineID    string

	Layout Layout
	Copies []Copy // the kernel, the initrd and the device tree
}

var validMachineID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Entries makes the entries of generations and of their specialisations, in
// their order and by name. The date in an entry is that of Built in UTC; the
// builder takes the ctime of the toplevel's directory in the store for it, which
// has to have the same date if the entry is to stay as it is. Errors are of
// class fault.Input and name the generation.
func Entries(generations []Generation, o EntryOptions) ([]Entry, error) {
	if o.MachineID != "" && !validMachineID.MatchString(o.MachineID) {
		return nil, fault.New(fault.Input, "", "machine id %.100q: expected 32 lower case hexadecimal digits", o.MachineID)
	}
	if o.DistroName == "" {
		o.DistroName = "NixOS"
	}
	if !plainText(o.DistroName) {
		return nil, fault.New(fault.Input, "", "name of the distribution %.100q: expected text without control characters", o.DistroName)
	}
	u := &uniques{names: map[string]string{}, copies: map[string]Copy{}}
	var out []Entry
	for _, g := range generations {
		if err := g.check(); err != nil {
			return nil, fault.New(fault.Input, "", "%s: %w", g.name(""), err)
		}
		for name, spec := range g.Spec.All() {
			e, err := o.entry(g, name, spec)
			if err == nil {
				err = u.add(e, g.name(name))
			}
			if err != nil {
				return nil, fault.New(fault.Input, "", "%s: %w", g.name(name), err)
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// Copies returns what the entries need on the ESP, once each, in the order in
// which it is needed first.
func Copies(entries []Entry) []Copy {
	seen := map[string]bool{}
	var out []Copy
	for _, e := range entries {
		for _, c := range e.Copies {
			if !seen[c.To] {
				seen[c.To] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// check refuses what the builder would not find, or not read again.
func (g Generation) check() error {
	switch {
	case g.Number < 1:
		return fmt.Errorf("number %d, expected 1 or more", g.Number)
	case g.Spec == nil:
		return fmt.Errorf("no bootspec")
	case g.Profile != "" && !plainName.MatchString(g.Profile):
		return fmt.Errorf("expected a profile of letters, digits and any of . _ + -, and no dot first")
	case strings.HasSuffix(g.Profile, "-link"):
		return fmt.Errorf("profile that ends in -link, which NixOS takes for a generation")
	}
	if year := g.Built.UTC().Year(); year < 1970 || year > 9999 {
		return fmt.Errorf("built in the year %d, expected 1970 to 9999", year)
	}
	return nil
}

// name is what messages call a generation or its specialisation.
func (g Generation) name(specialisation string) string {
	out := "generation " + strconv.Itoa(g.Number)
	if g.Profile != "" {
		out += fmt.Sprintf(" of profile %.100q", g.Profile)
	}
	if specialisation != "" {
		out += ", specialisation " + specialisation
	}
	return out
}

// entry makes one entry.
func (o EntryOptions) entry(g Generation, specialisation string, spec *Spec) (Entry, error) {
	e := Entry{
		Profile: g.Profile, Number: g.Number, Specialisation: specialisation, Layout: o.Layout, MachineID: o.MachineID,
		Title: o.DistroName, SortKey: spec.SortKey, ExtraInitrds: spec.ExtraInitrds,
		Version: fmt.Sprintf("Generation %d %s, built on %s", g.Number, spec.Label, g.Built.UTC().Format(time.DateOnly)),
	}
	if g.Profile != "" {
		e.Title += " [" + g.Profile + "]"
	}
	if specialisation != "" {
		e.Title += " (" + specialisation + ")"
	}
	if spec.Initrd.IsZero() {
		return e, fault.New(fault.Input, "set boot.initrd.enable = true", "no initrd, which NixOS's builder for systemd-boot needs")
	}
	for _, f := range []struct {
		from Path
		to   *string
	}{{spec.Kernel, &e.Kernel}, {spec.Initrd, &e.Initrd}, {spec.DeviceTree, &e.DeviceTree}} {
		if f.from.IsZero() {
			continue
		}
		c, err := o.copy(f.from)
		if err != nil {
			return e, err
		}
		*f.to = c.To
		e.Copies = append(e.Copies, c)
	}
	e.Options = "init=" + spec.Init.String()
	if len(spec.KernelParams) > 0 || o.Layout == ByGeneration {
		e.Options += " " + strings.Join(spec.KernelParams, " ") // the older builder leaves the space
	}
	if err := checkCmdline(append([]string{e.Initrd}, e.ExtraInitrds...), e.Options); err != nil {
		return e, err
	}
	return e, e.setFileName()
}

// copy says where a file of the store goes: its name is that of the store object
// and, where the file is in one, its own.
func (o EntryOptions) copy(from Path) (Copy, error) {
	if o.Resolve != nil {
		p, err := o.Resolve(from)
		if err != nil {
			return Copy{}, err
		}
		from = p
	}
	name := from.Store.Base()
	if from.Rest != "" {
		name += "-" + path.Base(from.Rest)
	}
	name += ".efi"
	if err := checkFAT(name); err != nil {
		return Copy{}, fmt.Errorf("%s: %w", from, err)
	}
	return Copy{from, Dir + "/" + name}, nil
}

// maxName is the longest file name of FAT; ours have a byte to a character.
const maxName = 255

// checkFAT refuses a name that a FAT file system cannot hold.
func checkFAT(name string) error {
	switch {
	case strings.ContainsAny(name, `*:<>?|"`):
		return fmt.Errorf("file name %q on the ESP, expected none of * : < > ? | and double quotes", name)
	case len(name) > maxName:
		return fmt.Errorf("file name of %d bytes on the ESP, expected at most %d", len(name), maxName)
	}
	return nil
}

// setFileName names the entry.
func (e *Entry) setFileName() (err error) {
	parts := []string{"nixos"}
	if e.Profile != "" {
		parts = append(parts, e.Profile)
	}
	parts = append(parts, "generation", strconv.Itoa(e.Number))
	if e.Specialisation != "" {
		parts = append(parts, "specialisation", e.Specialisation)
	}
	if e.Layout == ByContent {
		sum := sha256.Sum256(e.Text())
		parts = []string{"nixos", hex.EncodeToString(sum[:])}
	}
	e.FileName, err = bls.FileName(strings.Join(parts, "-"))
	return err
}

// uniques finds what would overwrite something else. FAT tells names apart
// without regard to case.
type uniques struct {
	names  map[string]string // what has a file name
	copies map[string]Copy
}

func (u *uniques) add(e Entry, name string) error {
	key := strings.ToLower(e.FileName)
	if other, ok := u.names[key]; ok {
		return fmt.Errorf("entry %s is that of %s too, expected a file name for each", e.FileName, other)
	}
	u.names[key] = name
	for _, c := range e.Copies {
		key := strings.ToLower(c.To)
		if other, ok := u.copies[key]; ok && other != c {
			return fmt.Errorf("%s and %s are both to be %s, expected a file name for each", other.From, c.From, c.To)
		}
		u.copies[key] = c
	}
	return nil
}
