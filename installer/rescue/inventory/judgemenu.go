package inventory

import (
	"slices"
	"strings"
)

// judgeMenu says what keeps the firmware from starting something.
func (e *esp) judgeMenu() {
	const repair = "repairing the boot puts it back"
	if !slices.ContainsFunc(e.Programs, func(p Program) bool { return p.Path == fallbackPath }) {
		means := "the firmware starts nothing from it; " + repair
		if len(e.Programs) > 0 {
			means = "the firmware starts it by an entry of its own alone; " + repair
		}
		e.problems.add(Boot, e.String(), means, "there is no boot loader at /%s", fallbackPath)
	}
	if len(e.Entries) == 0 {
		e.problems.add(Boot, e.String(), "no system can be chosen; repairing the boot makes it anew from the system", "the boot menu has no entries")
	}
	for _, x := range e.Entries {
		if len(x.Missing) == 0 {
			continue
		}
		means := "it does not start"
		if x.Default {
			means = "it is the default, and does not start; " + repair
		}
		e.problems.add(Boot, e.String(), means, "entry %s: %s is not there", x.ID, strings.Join(x.Missing, ", "))
	}
}
