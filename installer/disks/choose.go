package disks

import (
	"errors"
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// ErrNone and ErrSeveral are in the errors of Choose and Settle: no disk is a
// candidate, or more than one is.
var (
	ErrNone    = errors.New("no disk is the target")
	ErrSeveral = errors.New("several disks could be the target")
)

// JudgeAll judges every disk of a list, after it has checked what is wanted.
// The error has class fault.Config.
func JudgeAll(list []Disk, w Wants) ([]Verdict, error) {
	if err := errors.Join(CheckRules(w.Rules), checkBackup(w.Backup)); err != nil {
		return nil, fault.New(fault.Config, "", "%w", err)
	}
	verdicts := []Verdict{}
	for _, d := range list {
		verdicts = append(verdicts, Judge(d, w))
	}
	return verdicts, nil
}

// Choose returns the disk of a list that is the only candidate. Where there is
// none or another one, it returns an error of class fault.Target that has every
// disk and the rule that rejected it: which of two is erased is never guessed.
func Choose(list []Disk, w Wants) (Disk, error) {
	verdicts, err := JudgeAll(list, w)
	if err != nil {
		return Disk{}, err
	}
	return Only(verdicts)
}

// Only is Choose for disks that are judged already.
func Only(verdicts []Verdict) (Disk, error) {
	switch found := candidates(verdicts); len(found) {
	case 0:
		return Disk{}, fault.New(fault.Target, noneHint(verdicts), "%w:%s", ErrNone, explain(verdicts))
	case 1:
		return found[0], nil
	default:
		return Disk{}, fault.New(fault.Target, severalHint(found), "%w:%s", ErrSeveral, explain(verdicts))
	}
}

func candidates(verdicts []Verdict) []Disk {
	var found []Disk
	for _, v := range verdicts {
		if v.OK() {
			found = append(found, v.Disk)
		}
	}
	return found
}

func noneHint(verdicts []Verdict) string {
	if len(verdicts) == 0 {
		return "look in the firmware's setup: a disk behind Intel VMD or RAID is hidden until the controller is set to AHCI or NVMe"
	}
	return "change the rules in [installer.disk]; mkimage explain-disk says what each of them finds"
}

func severalHint(found []Disk) string {
	for _, d := range found {
		if d.Serial != "" {
			return fmt.Sprintf("name one: serial = [%q] in [installer.disk]", d.Serial)
		}
	}
	return "add a rule that one of them alone matches to [installer.disk]"
}

// explain lists the disks, a line each and one of why not.
func explain(verdicts []Verdict) string {
	if len(verdicts) == 0 {
		return " this machine has none"
	}
	var b strings.Builder
	for _, v := range verdicts {
		fmt.Fprintf(&b, "\n  %s; has %s\n    ", v.Disk, v.Disk.Summary())
		if f, rejected := v.Rejected(); rejected {
			fmt.Fprintf(&b, "not it, by the rule %q: %s", f.Rule, f.Reason)
		} else {
			b.WriteString("matches every rule")
		}
	}
	return b.String()
}
