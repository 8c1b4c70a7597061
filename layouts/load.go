package layouts

import (
	"embed"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

//go:embed builtin/*.toml
var builtin embed.FS

// Set is the layouts that can be asked for by name.
type Set = strict.Set[Layout]

// Load makes the set of the built-in layouts and of those in dirs, see
// strict.NewSet.
func Load(dirs ...string) *Set {
	return strict.NewSet("layout", builtin, check, func(l *Layout, name string, _ strict.Origins) { l.Name = name }, dirs...)
}
