package health

import (
	"fmt"

	"github.com/6FaNcY9/mkimage/installer/repository"
)

// Repository is what restic found in a repository.
type Repository struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	repository.Checked
}

// JudgeRepository says what it means that restic has found, after it read a percentage
// of the data.
func JudgeRepository(c repository.Checked, percent int) *Repository {
	r := &Repository{Checked: c, Verdict: OK, Reason: fmt.Sprintf("all that describes the snapshots is right, and the %d%% of the data that were read", percent)}
	switch {
	case c.Errors > 0:
		r.Verdict = Failing
		r.Reason = fmt.Sprintf("%d errors, %d files of data are damaged; the first: %s", c.Errors, len(c.Packs), c.First)
	case c.RepairIndex || c.Prune:
		r.Verdict, r.Reason = Warn, "nothing is damaged, but its list of data is in disorder"
	}
	return r
}
