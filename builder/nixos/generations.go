package nixos

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// Generation is a system of a tree.
type Generation struct {
	Number int // in the profile "system"
	Spec   *bootspec.Spec
}

// maxText bounds a text of a toplevel, in bytes.
const maxText = 1 << 20

// linkName is the form of the links of the profile.
var linkName = regexp.MustCompile(`^system-([1-9][0-9]{0,8})-link$`)

// IsSystem reports whether a tree has a NixOS system: a profile that names one.
func IsSystem(t *fstree.Tree) bool { return t.Lookup(systemLink) != nil }

// Generations returns the systems that the profile of a tree names, the current one
// first, then the others from the newest to the oldest. Errors are of class
// fault.Input.
func Generations(t *fstree.Tree) ([]Generation, error) {
	current, err := currentOf(t)
	if err != nil {
		return nil, err
	}
	var all []Generation
	for _, e := range t.Lookup(profilesDir).Children() {
		match := linkName.FindStringSubmatch(e.Name)
		if match == nil || !e.IsSymlink() {
			continue
		}
		number, err := strconv.Atoi(match[1])
		if err != nil {
			return nil, err
		}
		g, err := generation(t, e.Link)
		if err != nil {
			return nil, fault.New(fault.Input, fault.HintOf(err), "generation %d: %w", number, err)
		}
		g.Number = number
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b Generation) int {
		if (a.Number == current) != (b.Number == current) {
			return map[bool]int{true: -1, false: 1}[a.Number == current]
		}
		return b.Number - a.Number
	})
	if len(all) == 0 || all[0].Number != current {
		return nil, fault.New(fault.Input, "", "/%s: leads to generation %d, which is not there", systemLink, current)
	}
	return all, nil
}

// currentOf returns the number of the generation that the profile leads to.
func currentOf(t *fstree.Tree) (int, error) {
	link := t.Lookup(systemLink)
	if link == nil || !link.IsSymlink() {
		return 0, fault.New(fault.Input, "", "/%s: is no symlink, so there is no system", systemLink)
	}
	match := linkName.FindStringSubmatch(link.Link)
	if match == nil {
		return 0, fault.New(fault.Input, "", "/%s: leads to %q, expected system-NUMBER-link", systemLink, link.Link)
	}
	return strconv.Atoi(match[1])
}

// generation reads a toplevel.
func generation(t *fstree.Tree, toplevel string) (Generation, error) {
	top, err := nix.ParseStorePath(toplevel)
	if err != nil {
		return Generation{}, err
	}
	spec, err := specOf(t, top)
	if err != nil {
		return Generation{}, err
	}
	for _, p := range spec.Paths() {
		if e, err := t.Follow(p.String()); err != nil || e == nil {
			return Generation{}, fault.New(fault.Input, "take the whole closure of the system", "%s: names %s, which is not there: %w", top, p, errors.Join(err, errAbsent))
		}
	}
	return Generation{Spec: spec}, nil
}

var errAbsent = errors.New("no such file")

// specOf returns the bootspec of a toplevel, or makes it of its other files.
func specOf(t *fstree.Tree, top nix.StorePath) (*bootspec.Spec, error) {
	name := top.String() + "/" + bootspec.FileName
	text, err := readText(t, name)
	if errors.Is(err, errAbsent) {
		files, err := filesOf(t, top.String(), true)
		if err != nil {
			return nil, err
		}
		return bootspec.Synthesise(files)
	}
	if err != nil {
		return nil, err
	}
	spec, err := bootspec.Decode(name, []byte(text))
	if err != nil {
		return nil, err
	}
	if spec.Toplevel != top {
		return nil, fault.New(fault.Input, "", "%s: is of %s", name, spec.Toplevel)
	}
	return spec, nil
}

// filesOf reads the files of a toplevel without a boot.json. A specialisation has no
// other in it.
func filesOf(t *fstree.Tree, top string, outer bool) (f bootspec.Files, err error) {
	f = bootspec.Files{Toplevel: top}
	for _, text := range []struct {
		name string
		to   *string
	}{{"kernel-params", &f.KernelParams}, {"nixos-version", &f.NixOSVersion}, {"system", &f.System}} {
		if *text.to, err = readText(t, top+"/"+text.name); err != nil {
			return f, err
		}
	}
	f.Kernel, f.Initrd = linkTarget(t, top+"/kernel"), linkTarget(t, top+"/initrd")
	if f.KernelVersion, err = kernelRelease(t, top); err != nil || !outer {
		return f, err
	}
	children := t.Lookup(top + "/specialisation")
	if children == nil || !children.IsDir() {
		return f, nil
	}
	f.Specialisations = map[string]bootspec.Files{}
	for _, c := range children.Children() {
		if f.Specialisations[c.Name], err = filesOf(t, c.Link, false); err != nil {
			return f, fmt.Errorf("specialisation %s: %w", c.Name, err)
		}
	}
	return f, nil
}

// linkTarget returns what a symlink leads to, "" where there is none.
func linkTarget(t *fstree.Tree, name string) string {
	if e := t.Lookup(name); e != nil && e.IsSymlink() {
		return e.Link
	}
	return ""
}

// readText returns a file of the tree.
func readText(t *fstree.Tree, name string) (string, error) {
	e, err := t.Follow(name)
	if err != nil {
		return "", fault.New(fault.Input, "", "%w", err)
	}
	if e == nil {
		return "", fault.New(fault.Input, "", "%s: %w", name, errAbsent)
	}
	data, err := e.Read(maxText)
	if err != nil {
		return "", fault.New(fault.Input, "", "%s: %w", name, err)
	}
	return string(data), nil
}

// KernelRelease returns the release of a toplevel's kernel, the name of the directory of
// its modules; "" where it has none. The error is of class fault.Input.
func KernelRelease(t *fstree.Tree, top nix.StorePath) (string, error) {
	return kernelRelease(t, top.String())
}

func kernelRelease(t *fstree.Tree, top string) (string, error) {
	dir, err := t.Follow(top + "/kernel-modules/lib/modules")
	if err != nil {
		return "", fault.New(fault.Input, "", "%w", err)
	}
	if dir == nil {
		return "", nil
	}
	var names []string
	for _, c := range dir.Children() {
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		return "", nil
	}
	if len(names) > 1 {
		return "", fault.New(fault.Input, "", "%s/kernel-modules: has modules of %d kernels (%s), expected one", top, len(names), strings.Join(names, ", "))
	}
	return names[0], nil
}
