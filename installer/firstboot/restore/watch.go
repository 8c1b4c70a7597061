package restore

import (
	"context"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// watch ends a restore that leads nowhere: restic reads again for a quarter of
// an hour what a dying disk does not give, for each of its packs, and would fill
// the disk of the system to its last byte.
type watch struct {
	run   *run
	meter *meter
	said  *repository.Complaints
	stop  context.CancelCauseFunc
}

// look is called about once a second.
func (w *watch) look() {
	r := w.run
	if free, err := r.free(); err == nil && free < leastMargin/4 {
		w.stop(firstboot.NewProblem(firstboot.CodeSpace, repository.IncompleteHint(firstboot.CodeSpace, r.again()), "%d MiB are free, and not all is restored", free>>20))
		return
	}
	still := r.Now().Sub(w.meter.advanced)
	if text := w.said.Retries(still == 0); text != "" && still > r.stall {
		w.stop(firstboot.NewProblem(firstboot.CodeDisk, "look at the cable, the disk and dmesg, then: "+r.again(), "backup disk %s: cannot be read: %s", r.c.Restore.Disk, text))
	}
}
