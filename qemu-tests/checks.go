package qemutests

import (
	"context"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/plan"
)

// Boot is one of the ways in which an image starts.
type Boot string

// The boots, in the order in which they are made.
const (
	NormalBoot  Boot = "normal"
	FactoryBoot Boot = "factory"
	RescueBoot  Boot = "rescue"
)

// boots are all of them.
var boots = []Boot{NormalBoot, FactoryBoot, RescueBoot}

// Check looks at one promise of a profile in a machine that has booted.
type Check struct {
	Name string // of the promise, as in tests.promises of a profile
	Boot Boot   // that it looks at
	run  func(context.Context, *session) error
}

// checks is the table of all checks, in the order in which they are made
// within a boot. The last ones change the guest.
var checks = []Check{
	{"boot", NormalBoot, checkBoot},
	{"running", NormalBoot, checkRunning},
	{"mounts", NormalBoot, checkMounts},
	{"hostname", NormalBoot, checkHostname},
	{"cmdline", NormalBoot, checkCmdline},
	{"esp", NormalBoot, checkESP},
	{"empty-mountpoints", NormalBoot, checkEmptyMountpoints},
	{"machine-id", NormalBoot, checkMachineID},
	{impermanence, NormalBoot, checkImpermanence},
	{"factory", FactoryBoot, checkFactory},
	{"rescue", RescueBoot, checkRescue},
}

// impermanence is the promise that a layout with a root in memory makes by
// itself: the root forgets, the persistent subvolume does not.
const impermanence = "impermanence"

// promised returns the checks of what a plan promises, and the names in it
// that no check has. What Menuless names is left out; where there is a menu, a
// promise of an entry that is not in it fails.
func promised(p *plan.Plan) (list []Check, unknown []string) {
	names := slices.Clone(p.Profile.Tests.Promises)
	if p.Layout.Tmpfs.Size != "" && !slices.Contains(names, impermanence) {
		names = append(names, impermanence)
	}
	left := Menuless(p)
	for _, c := range checks {
		if slices.Contains(names, c.Name) && !slices.Contains(left, c.Name) {
			list = append(list, c)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(checks, func(c Check) bool { return c.Name == name }) {
			unknown = append(unknown, name)
		}
	}
	return list, unknown
}

// Menuless returns the promises of a plan that cannot be looked at because
// nothing lets one choose between entries, as with a unified kernel image.
func Menuless(p *plan.Plan) (names []string) {
	if p.HasMenu() {
		return nil
	}
	for _, c := range checks {
		if c.Boot != NormalBoot && slices.Contains(p.Profile.Tests.Promises, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// entryOf returns the entry of the boot menu that a boot takes, or nil.
func entryOf(p *plan.Plan, b Boot) *plan.Entry {
	word := map[Boot]string{FactoryBoot: plan.FactoryWord, RescueBoot: plan.ShellWord}[b]
	for i, e := range p.Entries {
		switch {
		case b == NormalBoot && i == 0, word != "" && slices.Contains(e.Cmdline, word):
			return &p.Entries[i]
		}
	}
	return nil
}
