package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says how bad a problem is.
type Severity string

// The severities, the worst first.
const (
	Danger Severity = "danger" // what one does next could destroy something
	Damage Severity = "damage" // data is lost, or about to be
	Boot   Severity = "boot"   // a system does not start, or not as it should
	Note   Severity = "note"   // worth to know
)

// order is the order of severities.
var order = []Severity{Danger, Damage, Boot, Note}

// Problem is something that is wrong.
type Problem struct {
	Severity Severity `json:"severity"`
	System   string   `json:"system,omitempty"` // ID of the system that it is of
	Object   string   `json:"object"`           // what it is about, such as "/dev/nvme0n1p1"
	Text     string   `json:"text"`             // what is wrong with it
	Means    string   `json:"means"`            // what that means to its owner; "" where the text says it
}

// maxProblems bounds the problems of one object: nobody reads more.
const maxProblems = 100

// problems collects what is wrong with the things of one disk.
type problems struct {
	list []Problem
}

func (p *problems) add(s Severity, object, means, format string, args ...any) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, Problem{Severity: s, Object: object, Text: line(fmt.Sprintf(format, args...)), Means: means})
	}
}

// line makes one line of a text, such as that of joined errors.
func line(s string) string { return text(strings.ReplaceAll(s, "\n", "; ")) }

// sortProblems puts the worst first, and of equal ones those of the host's own system.
func sortProblems(inv *Inventory) {
	foreign := func(p Problem) int {
		if inv.Mine == "" || p.System == inv.Mine {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(inv.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Severity), slices.Index(order, b.Severity)), cmp.Compare(foreign(a), foreign(b)))
	})
}
