package boot

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// alias is a line of the list at config.DeviceAliases.
type alias struct{ pattern, module string }

// deviceModules is what is loaded for a device alone; see config.DeviceModules.
type deviceModules struct {
	modules []Module
	aliases map[string][]alias // by what is before the first colon of the pattern, the bus
	asked   map[string]bool    // modules that were to be loaded before
}

// parseDeviceModules reads the two lists.
func parseDeviceModules(list, aliases string) (*deviceModules, error) {
	modules, err := ParseModules(list)
	if err != nil {
		return nil, err
	}
	d := &deviceModules{modules: modules, aliases: map[string][]alias{}, asked: map[string]bool{}}
	number := 0
	for line := range strings.Lines(aliases) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("aliases of devices, line %d: %d words, expected a pattern and a module", number, len(fields))
		}
		pattern := unslashed(fields[0])
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("aliases of devices, line %d: %w", number, err)
		}
		bus, _, _ := strings.Cut(pattern, ":")
		d.aliases[bus] = append(d.aliases[bus], alias{pattern, fields[1]})
	}
	return d, nil
}

// unslashed makes path.Match do what the patterns of modules mean: to these a slash is
// like any other character.
func unslashed(text string) string { return strings.ReplaceAll(text, "/", "|") }

// need returns the modules for devices of so many modaliases with what they depend on,
// in the order of the list, without those that were returned before.
func (d *deviceModules) need(modaliases []string) []Module {
	var names []string
	for _, text := range modaliases {
		text = unslashed(text)
		bus, _, _ := strings.Cut(text, ":")
		for _, a := range d.aliases[bus] {
			if ok, err := path.Match(a.pattern, text); ok && err == nil {
				names = append(names, a.module)
			}
		}
	}
	need := closure(d.modules, names)
	var list []Module
	for _, m := range d.modules {
		if need[m.Name] && !d.asked[m.Name] {
			d.asked[m.Name] = true
			list = append(list, m)
		}
	}
	// What was asked for before was loaded, or cannot be: nothing waits for it.
	for i := range list {
		list[i].After = slices.DeleteFunc(slices.Clone(list[i].After), func(dep string) bool {
			return !slices.ContainsFunc(list, func(m Module) bool { return m.Name == dep })
		})
	}
	return list
}

// modaliases returns what the devices below a folder of sysfs say that they are.
func modaliases(sys string) []string {
	var list []string
	_ = filepath.WalkDir(sys, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // a device that went meanwhile
		}
		if d.Name() == "modalias" && d.Type().IsRegular() {
			if text, err := os.ReadFile(name); err == nil && len(strings.TrimSpace(string(text))) > 0 {
				list = append(list, strings.TrimSpace(string(text)))
			}
		}
		return nil
	})
	return list
}
