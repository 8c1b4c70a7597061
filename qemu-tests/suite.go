package qemutests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// Suite says what Test does.
type Suite struct {
	Image  string // file; it is not written to
	Format string // of the file: "raw" (default) or "qcow2"
	Plan   *plan.Plan
	Buses  []Bus                      // one machine each; VirtioBlk by default
	Base   Config                     // of every machine, but for its disk, agent, name and display
	Limit  time.Duration              // of one step: a boot, or a check; 10 minutes by default
	Began  func(bus Bus, what string) // is told of each boot and each check that begins; may be nil
	Report func(Outcome)              // is told of each outcome as it comes; may be nil
}

// Outcome is what became of one check.
type Outcome struct {
	Bus     Bus
	Check   string
	Seconds float64
	Err     error // nil when the promise is kept; often a *Failure
}

// defaultLimit is enough for a boot without KVM on a busy host.
const defaultLimit = 10 * time.Minute

// Test boots an image and checks everything that its profile promises, once
// for each bus. The error is of what kept it from checking; a promise that is
// not kept is an Outcome with an Err.
func Test(ctx context.Context, s Suite) ([]Outcome, error) {
	if len(s.Buses) == 0 {
		s.Buses = []Bus{VirtioBlk}
	}
	if s.Limit == 0 {
		s.Limit = defaultLimit
	}
	list, unknown := promised(s.Plan)
	if len(unknown) > 0 {
		return nil, fault.New(fault.Config, "", "profile %s: tests.promises %q: there is no such check", s.Plan.Profile.Name, unknown)
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Config, "name some in tests.promises of the profile", "profile %s: promises nothing", s.Plan.Profile.Name)
	}
	r := &run{Suite: s}
	for _, bus := range s.Buses {
		if err := r.machine(ctx, string(bus), bus, list); err != nil {
			return r.outcomes, err
		}
	}
	// Machine ids differ between copies: one copy alone says nothing.
	i := slices.IndexFunc(list, func(c Check) bool { return c.Name == "machine-id" })
	if i >= 0 && len(r.machineIDs) == 1 {
		return r.outcomes, r.machine(ctx, string(s.Buses[0])+"-copy", s.Buses[0], list[i:i+1])
	}
	return r.outcomes, nil
}

// run is a Suite that runs.
type run struct {
	Suite
	outcomes   []Outcome
	machineIDs []string // of the copies that were booted
}

// machine boots a copy of the image and makes the checks. A machine that does
// not start at all is an error.
func (r *run) machine(ctx context.Context, name string, bus Bus, list []Check) error {
	c := r.Base
	c.Name, c.Agent, c.Display = name, true, VGA
	c.Disks = append([]Disk{{File: r.Image, Format: r.Format, Bus: bus}}, c.Disks...)
	vm, err := Start(ctx, c)
	if err != nil {
		return err
	}
	s := &session{vm: vm, plan: r.Plan, machineIDs: slices.Clone(r.machineIDs)}
	for _, b := range boots {
		var own []Check
		for _, check := range list {
			if check.Boot == b {
				own = append(own, check)
			}
		}
		if len(own) > 0 {
			r.boot(ctx, bus, b, s, own)
		}
	}
	return errors.Join(vm.Close(), ctx.Err())
}

// boot gets the machine into one of the boots and makes its checks.
func (r *run) boot(ctx context.Context, bus Bus, b Boot, s *session, list []Check) {
	began := time.Now()
	r.began(bus, string(b)+" boot")
	err := r.limited(ctx, func(ctx context.Context) error { return s.enter(ctx, b) })
	for _, check := range list {
		if err == nil {
			r.began(bus, check.Name)
			err := r.limited(ctx, func(ctx context.Context) error { return check.run(ctx, s) })
			r.add(Outcome{bus, check.Name, time.Since(began).Seconds(), s.vm.fail(err)})
		} else {
			r.add(Outcome{bus, check.Name, time.Since(began).Seconds(), fmt.Errorf("%s boot: %w", b, err)})
		}
		began = time.Now()
	}
	if b != NormalBoot || err != nil {
		return
	}
	// Whether an id is right is for a check to say; here it is only noted.
	_ = r.limited(ctx, func(ctx context.Context) error {
		id, err := s.machineID(ctx)
		if err == nil {
			r.machineIDs = append(r.machineIDs, id)
		}
		return err
	})
}

func (r *run) limited(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	return f(ctx)
}

func (r *run) began(bus Bus, what string) {
	if r.Began != nil {
		r.Began(bus, what)
	}
}

func (r *run) add(o Outcome) {
	r.outcomes = append(r.outcomes, o)
	if r.Report != nil {
		r.Report(o)
	}
}

// choose chooses the entry that the next boot alone takes.
func (s *session) choose(ctx context.Context, id string) error {
	if s.plan.Profile.Boot.Loader == "grub" {
		return s.vm.BootOnceGRUB(ctx, s.plan.Layout.ESP.Mount, id)
	}
	return s.vm.BootOnce(ctx, id+".conf")
}

// enter waits for a normal boot, or restarts into another one and leaves marks
// for it to see or not to see.
func (s *session) enter(ctx context.Context, b Boot) error {
	if b == NormalBoot {
		return s.vm.WaitAgent(ctx)
	}
	entry := entryOf(s.plan, b)
	if entry == nil {
		return errors.New("the plan has no such entry")
	}
	if b == FactoryBoot {
		if _, err := s.vm.Output(ctx, "touch "+factoryMarks+" && sync"); err != nil {
			return err
		}
		s.restarted = true
	}
	if err := s.choose(ctx, entry.ID); err != nil {
		return err
	}
	if err := s.vm.Reboot(ctx); err != nil {
		return err
	}
	if b == RescueBoot { // there is no systemd to start the agent
		return nil
	}
	return s.vm.WaitAgent(ctx)
}
