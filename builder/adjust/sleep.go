package adjust

import (
	"slices"

	"github.com/6FaNcY9/mkimage/builder/plan"
)

// The drop-ins of a laptop that hibernates: systemd-sleep.conf(5) and
// logind.conf(5). Where hibernating is not possible logind suspends instead.
// Without a delay systemd guesses when the battery will be nearly empty, which
// it cannot do before it has seen it get so.
const (
	sleepConf = `[Sleep]
AllowSuspendThenHibernate=yes
HibernateDelaySec=2h
`
	logindConf = `[Login]
HandleLidSwitch=suspend-then-hibernate
`
)

// lid has a laptop that hibernates suspend when its lid is closed, and
// hibernate when it stays so.
func (e *editor) lid() error {
	p := &e.plan.Profile
	if p.Swap.Policy != plan.SwapHibernate || !slices.Contains(p.Roles, "laptop") {
		return nil
	}
	if err := e.write("/etc/systemd/sleep.conf.d/10-mkimage.conf", sleepConf, 0o644); err != nil {
		return err
	}
	return e.write("/etc/systemd/logind.conf.d/10-mkimage.conf", logindConf, 0o644)
}
