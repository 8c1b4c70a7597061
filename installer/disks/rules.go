package disks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Wants is what the target must be.
type Wants struct {
	Rules profiles.DiskRules
	// Backup names file systems that are never erased: "LABEL=x", "UUID=x",
	// "PARTLABEL=x", "PARTUUID=x", or a bare label of a file system or partition.
	Backup []string
	Medium Medium
	Layout Layout // of the payload, for the rule that asks for it
	Need   int64  // bytes that the installation takes
	Erase  bool   // a disk with other data may be erased
}

// Medium is what the installation was started from. Its zero value is a medium
// that nobody knows: no disk is a target then, as each may be the medium.
type Medium struct {
	Known    bool   // the rest is true; where it is empty there is no medium
	Diskseq  uint64 // 0 is not compared, and "" neither
	DiskGUID string
	PartUUID string // of any of its partitions
}

// Names of the rules that every disk is put to, in the order of judgement. Those
// of the profile have the names of their keys, and come before RuleNeed.
const (
	RuleMedium    = "not the medium"
	RuleReadable  = "readable"
	RuleWritable  = "writable"
	RuleUnused    = "not in use"
	RuleSize      = "not of size 0"
	RuleBackup    = "no backup"
	RuleBuiltIn   = "built in"
	RuleNeed      = "large enough"
	RuleErasable  = "empty"
	ruleProfile   = "disk."
	RuleMinSize   = ruleProfile + "min_size"
	RuleMaxSize   = ruleProfile + "max_size"
	RuleHasLayout = ruleProfile + "layout"
)

// Finding is what one rule says of a disk.
type Finding struct {
	Rule   string `json:"rule"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason"`
}

// Verdict is what all rules say of a disk.
type Verdict struct {
	Disk     Disk      `json:"disk"`
	Findings []Finding `json:"findings"` // in the order of judgement
}

// OK reports whether the disk is a candidate.
func (v Verdict) OK() bool {
	_, rejected := v.Rejected()
	return !rejected
}

// Rejected returns the first rule that speaks against the disk.
func (v Verdict) Rejected() (Finding, bool) {
	i := slices.IndexFunc(v.Findings, func(f Finding) bool { return !f.OK })
	if i < 0 {
		return Finding{}, false
	}
	return v.Findings[i], true
}

// add notes what a rule found: why not, or how it is.
func (v *Verdict) add(rule string, ok bool, format string, args ...any) {
	v.Findings = append(v.Findings, Finding{rule, ok, fmt.Sprintf(format, args...)})
}

// Judge puts a disk to all rules. It depends on nothing but its arguments.
// Rules that CheckRules refuses match no disk.
func Judge(d Disk, w Wants) Verdict {
	v := Verdict{Disk: d}
	v.judgeMedium(w.Medium)
	v.add(RuleReadable, d.Problem == "", "%s", either(d.Problem == "", "was read", Clean(d.Problem)))
	v.add(RuleWritable, !d.ReadOnly, "%s", either(!d.ReadOnly, "can be written", "is read-only"))
	v.judgeUses()
	v.add(RuleSize, d.Size > 0, "has %d bytes", d.Size)
	v.judgeBackup(w.Backup)
	v.judgeBuiltIn(w.Rules.Serial)
	v.judgeRules(w)
	if w.Need > 0 {
		v.add(RuleNeed, d.Size >= w.Need, "has %d bytes, the installation needs %d", d.Size, w.Need)
	}
	v.judgeContent(w)
	return v
}

func either(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

func (v *Verdict) judgeMedium(m Medium) {
	d := v.Disk
	parts := slices.ContainsFunc(d.Partitions, func(p Partition) bool { return same(p.GUID, m.PartUUID) })
	switch {
	case !m.Known:
		v.add(RuleMedium, false, "it is not known which disk this was started from, and it may be this one")
	case m.Diskseq != 0 && m.Diskseq == d.Diskseq || same(d.DiskGUID, m.DiskGUID) || parts:
		v.add(RuleMedium, false, "this was started from it")
	default:
		v.add(RuleMedium, true, "is another disk")
	}
}

// same compares identifiers; those that are missing are not the same.
func same(a, b string) bool { return a != "" && strings.EqualFold(a, b) }

func (v *Verdict) judgeUses() {
	var uses []string
	for _, u := range v.Disk.Uses {
		switch u.Kind {
		case "mount":
			uses = append(uses, fmt.Sprintf("%s is mounted at %s", Clean(u.Device), Clean(u.By)))
		case "swap":
			uses = append(uses, Clean(u.Device)+" is swapped to")
		default:
			uses = append(uses, fmt.Sprintf("%s is a part of %s", Clean(u.Device), Clean(u.By)))
		}
	}
	v.add(RuleUnused, len(uses) == 0, "%s", either(len(uses) == 0, "nothing has it", strings.Join(uses, ", ")))
}

// judgeBackup refuses what holds backups, whatever else is said of it.
func (v *Verdict) judgeBackup(names []string) {
	d := v.Disk
	found := ""
	note := func(format string, args ...any) {
		if found == "" {
			found = fmt.Sprintf(format, args...)
		}
	}
	look := func(where string, list []Content) {
		for _, c := range list {
			for _, r := range c.Repositories {
				note("%s has the restic repository %s", where, Clean(r))
			}
			for _, n := range names {
				if isNamed(n, []string{"", "LABEL"}, c.Label) || isNamed(n, []string{"UUID"}, c.UUID) {
					note("%s is %s", where, Clean(n))
				}
			}
		}
	}
	look("it", d.Contents)
	for _, p := range d.Partitions {
		where := fmt.Sprintf("partition %d", p.Number)
		look(where, p.Contents)
		for _, n := range names {
			if isNamed(n, []string{"", "PARTLABEL"}, p.Label) || isNamed(n, []string{"PARTUUID"}, p.GUID) {
				note("%s is %s", where, Clean(n))
			}
		}
	}
	v.add(RuleBackup, found == "", "%s", either(found == "", "no backup was found on it", found))
}

// isNamed reports whether a name of one of the kinds, "" being a bare one, is
// that of a thing.
func isNamed(name string, kinds []string, thing string) bool {
	kind, rest := cutKind(name)
	return slices.Contains(kinds, kind) && same(thing, rest)
}

// cutKind splits the name of a backup; a label may have a = in it.
func cutKind(name string) (kind, rest string) {
	kind, rest, ok := strings.Cut(name, "=")
	if !ok || !slices.Contains(backupKinds, kind) {
		return "", name
	}
	return kind, rest
}

// backupKinds are what may stand before the = of the name of a backup.
var backupKinds = []string{"LABEL", "UUID", "PARTLABEL", "PARTUUID"}

// checkBackup refuses names that name nothing.
func checkBackup(names []string) error {
	for i, n := range names {
		if _, rest := cutKind(n); rest == "" {
			return fault.New(fault.Config, "", "backup %d: %q, expected a label or UUID=...", i+1, n)
		}
	}
	return nil
}

// judgeBuiltIn refuses disks that come and go, unless a rule has the very serial
// number.
func (v *Verdict) judgeBuiltIn(serials []string) {
	d := v.Disk
	outside := ""
	switch {
	case d.Bus == "usb":
		outside = "is on USB"
	case d.Removable:
		outside = "is removable"
	case d.Bus == "fabrics" || d.Bus == "iscsi":
		outside = "is on a network"
	}
	switch {
	case outside == "":
		v.add(RuleBuiltIn, true, "is neither on USB nor removable")
	case namesExactly(serials, d.Serial):
		v.add(RuleBuiltIn, true, "%s, but its serial number is asked for", outside)
	case d.Serial == "":
		v.add(RuleBuiltIn, false, "%s, and has no serial number that a rule could name", outside)
	default:
		v.add(RuleBuiltIn, false, "%s, and no rule names its serial number %s", outside, Clean(d.Serial))
	}
}

// judgeRules puts the disk to the rules of the profile that are given.
func (v *Verdict) judgeRules(w Wants) {
	d := v.Disk
	for _, limit := range []struct {
		name, text string
		ok         func(n int64) bool
	}{
		{RuleMinSize, w.Rules.MinSize, func(n int64) bool { return d.Size >= n }},
		{RuleMaxSize, w.Rules.MaxSize, func(n int64) bool { return d.Size <= n }},
	} {
		if limit.text == "" {
			continue
		}
		n, err := parseLimit(limit.name, limit.text)
		v.add(limit.name, err == nil && limit.ok(n), "has %d bytes, the limit is %s", d.Size, limit.text)
	}
	for _, rule := range patternRules(w.Rules) {
		if len(rule.patterns) == 0 {
			continue
		}
		value := rule.value(d)
		ok := slices.ContainsFunc(rule.patterns, func(p string) bool { return matches(p, value) })
		v.add(ruleProfile+rule.name, ok, "%s, expected %s", either(value != "", fmt.Sprintf("%q", value), "it has none"), quoted(rule.patterns))
	}
	if w.Rules.Layout {
		ok := w.Layout.On(d)
		v.add(RuleHasLayout, ok, "%s", either(ok, "it has the payload's layout", either(len(w.Layout.Partitions) > 0, "it does not have the payload's layout", "the payload's layout is not known")))
	}
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("%q", s))
	}
	return strings.Join(out, " or ")
}

// judgeContent refuses a disk with data, unless it may be erased.
func (v *Verdict) judgeContent(w Wants) {
	d := v.Disk
	has := "has " + d.Summary()
	switch {
	case d.Empty():
		v.add(RuleErasable, true, "is empty")
	case w.Erase:
		v.add(RuleErasable, true, "%s, which may be erased", has)
	case w.Layout.On(d):
		v.add(RuleErasable, true, "has the payload's layout")
	default:
		v.add(RuleErasable, false, "%s", has)
	}
}
