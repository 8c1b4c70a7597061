package adjust

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/profiles"
)

// TestLid sets up laptops that hibernate, and no other machines.
func TestLid(t *testing.T) {
	const sleep, logind = "etc/systemd/sleep.conf.d/10-mkimage.conf", "etc/systemd/logind.conf.d/10-mkimage.conf"
	set := map[string]string{
		sleep:  "644 0:0 [Sleep];AllowSuspendThenHibernate=yes;HibernateDelaySec=2h;",
		logind: "644 0:0 [Login];HandleLidSwitch=suspend-then-hibernate;",
	}
	unset := map[string]string{sleep: "none", logind: "none"}
	tests := []struct {
		name   string
		roles  []string
		policy string
		want   map[string]string
	}{
		{"laptop", []string{"laptop"}, plan.SwapHibernate, set},
		{"laptop with a desktop", []string{"laptop", "desktop"}, plan.SwapHibernate, set},
		{"laptop that only swaps", []string{"laptop"}, plan.SwapSwapfile, unset},
		{"server", []string{"server"}, plan.SwapHibernate, unset},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := profile()
			p.Roles, p.Swap = tt.roles, profiles.Swap{Policy: tt.policy}
			tree := makeTree(t, small()...)
			apply(t, tree, p)
			check(t, tree, tt.want)
		})
	}
}
