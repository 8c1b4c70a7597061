package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/beside"
)

// Generation is a system that can be started: one of the profile of NixOS, or else an
// entry of the boot menu.
type Generation struct {
	Number          int       `json:"number,omitempty"` // in the profile of NixOS; 0 for what is in none
	Date            time.Time `json:"date,omitzero"`    // when it was made
	Title           string    `json:"title"`
	Kernel          string    `json:"kernel,omitempty"` // release of its kernel
	Toplevel        string    `json:"toplevel,omitempty"`
	Specialisations []string  `json:"specialisations,omitempty"`
	Current         bool      `json:"current,omitempty"` // the profile leads to it
	Entries         []string  `json:"entries"`           // IDs of the menu's entries that start it; none where the menu lacks it
	Default         bool      `json:"default,omitempty"` // one of these is what the menu starts by itself
	Problem         string    `json:"problem,omitempty"` // why it does not start
}

// generation is one with what is known of it besides.
type generation struct {
	Generation
	top  string   // its toplevel
	tops []string // those of its specialisations
}

const (
	profilesDir    = "/nix/var/nix/profiles"
	maxGenerations = 500 // that are read, the newest
)

var generationLink = regexp.MustCompile(`^system-([1-9][0-9]{0,8})-link$`)

// generations reads those of NixOS, and puts them and the menu together.
func (f *finder) generations() {
	var all []*generation
	if f.sys.NixOS {
		all = f.profile()
	}
	for _, g := range all {
		if g.Current {
			f.current = g
		}
	}
	if f.esp != nil {
		for _, e := range f.esp.Entries {
			all = join(all, e)
		}
	}
	for _, g := range all {
		f.sys.Generations = append(f.sys.Generations, g.Generation)
	}
	if g := f.current; g != nil && len(g.Entries) == 0 && f.esp != nil && f.esp.Readable {
		f.problems.add(Boot, f.sys.ID, "another generation starts; repairing the boot puts it into the menu", "generation %d, the current one, is not in the boot menu", g.Number)
	}
}

// otherwise are words of the command line by which an entry starts something else than the
// generation whose init it names.
var otherwise = []string{plan.FactoryWord, plan.ShellWord, beside.BackWord + "="}

// startsOtherwise reports whether an entry has one of these words.
func (e Entry) startsOtherwise() bool {
	return slices.ContainsFunc(strings.Fields(e.Options), func(word string) bool {
		return slices.ContainsFunc(otherwise, func(o string) bool { return word == o || strings.HasSuffix(o, "=") && strings.HasPrefix(word, o) })
	})
}

// join puts an entry of the menu to the generation that it starts.
func join(all []*generation, e Entry) []*generation {
	for _, g := range all {
		if e.Toplevel != "" && !e.startsOtherwise() && (g.top == e.Toplevel || slices.Contains(g.tops, e.Toplevel)) {
			g.Entries = append(g.Entries, e.ID)
			g.Default = g.Default || e.Default
			return all
		}
	}
	g := &generation{Generation: Generation{Title: cmp.Or(e.Title, e.ID), Kernel: e.Version, Toplevel: e.Toplevel, Entries: []string{e.ID}, Default: e.Default}}
	if len(e.Missing) > 0 {
		g.Problem = strings.Join(e.Missing, ", ") + ": not on the ESP"
	}
	return append(all, g)
}

// profile reads the generations of the profile, the newest first.
func (f *finder) profile() (all []*generation) {
	links, err := f.view.List(profilesDir)
	if err != nil {
		f.unread(profilesDir, err)
	}
	current, err := f.view.Link(systemLink)
	if err != nil {
		f.unread(systemLink, err)
	}
	for _, link := range links {
		match := generationLink.FindStringSubmatch(link.Name())
		if match == nil {
			continue
		}
		number, err := strconv.Atoi(match[1])
		if err != nil {
			continue
		}
		all = append(all, &generation{Generation: Generation{Number: number, Current: path.Base(current) == link.Name(), Entries: []string{}}})
	}
	slices.SortFunc(all, func(a, b *generation) int { return b.Number - a.Number })
	if n := len(all); n > maxGenerations {
		f.problems.add(Note, f.sys.ID, "", "NixOS: %d generations, of which the newest %d are told", n, maxGenerations)
		all = all[:maxGenerations]
	}
	for _, g := range all {
		if err := f.toplevel(g); err != nil {
			g.Problem = text(err.Error())
			severity := Note
			if g.Current {
				severity = Boot
			}
			f.problems.add(severity, f.sys.ID, "it does not start; choose another one", "generation %d: %v", g.Number, err)
		}
	}
	return all
}

// toplevel reads one generation.
func (f *finder) toplevel(g *generation) error {
	name := fmt.Sprintf("%s/system-%d-link", profilesDir, g.Number)
	target, err := f.view.Link(name)
	if err != nil {
		return err
	}
	if info, err := f.view.Lstat(name); err == nil {
		g.Date = info.ModTime().UTC().Truncate(time.Second)
	}
	top, err := nix.ParseStorePath(target)
	if err != nil {
		return err
	}
	g.top, g.Toplevel = top.String(), top.String()
	if _, err := f.view.Resolve(g.top, true); err != nil {
		return fmt.Errorf("its system is not in the store: %w", err)
	}
	g.Kernel = f.kernel(g.top)
	if version, err := f.view.Text(g.top + "/nixos-version"); err == nil {
		g.Title = "NixOS " + text(version)
	}
	return f.spec(g, top)
}

// spec reads what a generation says of how it boots. One from before NixOS 23.05 says
// nothing, and its specialisations are those in its directory.
func (f *finder) spec(g *generation, top nix.StorePath) error {
	name := g.top + "/" + bootspec.FileName
	data, err := f.view.Text(name)
	if errors.Is(err, fs.ErrNotExist) {
		list, err := f.view.List(g.top + "/specialisation")
		for _, e := range list[:min(len(list), maxEntries)] {
			g.Specialisations = append(g.Specialisations, text(e.Name()))
			if to, err := f.view.Link(g.top + "/specialisation/" + e.Name()); err == nil {
				g.tops = append(g.tops, to)
			}
		}
		return err
	}
	if err != nil {
		return err
	}
	spec, err := bootspec.Decode(name, []byte(data))
	if err != nil {
		return err
	}
	g.Title = text(spec.Label)
	for _, s := range slices.Sorted(maps.Keys(spec.Specialisations)) {
		g.Specialisations = append(g.Specialisations, s)
		g.tops = append(g.tops, spec.Specialisations[s].Toplevel.String())
	}
	for _, p := range spec.Paths() {
		if _, err := f.view.Resolve(p.String(), true); err != nil {
			return fmt.Errorf("%s: names %s: %w", top, p, err)
		}
	}
	return nil
}

// kernel returns the release of a toplevel's kernel, "" where it cannot be told.
func (f *finder) kernel(top string) string {
	list, err := f.view.List(top + "/kernel-modules/lib/modules")
	if err != nil || len(list) != 1 {
		return ""
	}
	return text(list[0].Name())
}
