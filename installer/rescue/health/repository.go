package health

import (
	"bytes"
	"context"
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// Repository is what restic found in a repository.
type Repository struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	repository.Checked
}

// CheckRepository has restic check all that describes snapshots, and read a sample of
// the data: a percentage from 1 to 100 of the files, another one each time. The
// repository is not changed, and no lock taken. restic tells nothing meanwhile that
// would show how far it is.
//
// Errors are of *firstboot.Problem, where it cannot be opened, and of fault.Usage.
func CheckRepository(ctx context.Context, repo repository.Repository, password []byte, percent int) (*Repository, error) {
	if percent < 1 || percent > 100 {
		return nil, fault.New(fault.Usage, "name a percentage from 1 to 100", "sample: %d%%", percent)
	}
	if err := repo.Exists(); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(password)) == 0 { // restic would ask on its console
		return nil, firstboot.NewProblem(firstboot.CodePassword, repo.PasswordHint, "repository %s: the password is empty", repo.Names.Repository)
	}
	file, forget, err := repository.Hold(password)
	if err != nil {
		return nil, err
	}
	defer forget()
	repo.PasswordFile = file
	found, err := repo.Check(ctx, percent)
	if err != nil {
		return nil, err
	}
	return JudgeRepository(found, percent), nil
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
