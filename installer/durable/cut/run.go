package cut

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Run is code that a power cut may meet, and what must be true in spite of it.
type Run struct {
	Start *FS               // what it begins with
	Do    func(f *FS) error // the code: what each boot runs
	Check func(f *FS) error // what is true at any time; nil for nothing
	Done  func(f *FS) error // what is true when Do has returned nil, now and after a power cut
	Cuts  int               // how many boots in a row are cut; 0 is one
}

// maxBoots bounds how often Explore calls Do.
const maxBoots = 200_000

// boot is a state to begin with, and how it came about.
type boot struct {
	f     *FS
	trail []string
}

// Explore runs the code, looks at each state that a power cut after any call
// leaves, and at what is there when the process is killed and the machine goes
// on; then it runs the code again on each. It returns how many states it has
// seen. The error says which calls led to what is wrong.
func (r Run) Explore() (states int, err error) {
	cuts := max(1, r.Cuts)
	next := []boot{{f: r.Start.clone()}}
	seen := map[string]bool{r.Start.key(): true}
	boots := 0
	for ; len(next) > 0; cuts-- {
		var later []boot
		for _, b := range next {
			if boots++; boots > maxBoots {
				return states, fmt.Errorf("more than %d boots", maxBoots)
			}
			after, err := r.boot(b)
			if err != nil {
				return states, err
			}
			if cuts == 0 {
				continue
			}
			for _, a := range after {
				n, err := r.cut(a, func(s boot) {
					if key := s.f.key(); !seen[key] {
						seen[key] = true
						later = append(later, s)
					}
				})
				states += n
				if err != nil {
					return states, err
				}
			}
		}
		next = later
	}
	return states, nil
}

// boot runs the code to its end and returns what was there after each call that
// changed something.
func (r Run) boot(b boot) ([]boot, error) {
	f := b.f.clone()
	after := []boot{{b.f, append(b.trail[:len(b.trail):len(b.trail)], "before the first call")}}
	var calls []string
	f.done = func(c call) {
		calls = append(calls, c.String())
		after = append(after, boot{f.clone(), append(b.trail[:len(b.trail):len(b.trail)], strings.Join(calls, ", "))})
	}
	err := r.Do(f)
	f.done = nil
	if err != nil {
		return nil, b.fail(fmt.Errorf("the code: %w", err))
	}
	if len(f.locked) > 0 {
		return nil, b.fail(errors.New("the code has left a lock"))
	}
	last := after[len(after)-1]
	if err := r.Done(f); err != nil {
		return nil, last.fail(fmt.Errorf("when the code was done: %w", err))
	}
	all, err := f.States()
	if err != nil {
		return nil, last.fail(err)
	}
	for s := range all {
		if err := r.Done(s); err != nil {
			return nil, last.fail(fmt.Errorf("power cut when the code was done: %w; there is %q", err, s.Names()))
		}
	}
	return after, nil
}

// cut checks what a cut leaves, and gives each state to found.
func (r Run) cut(b boot, found func(boot)) (n int, err error) {
	all, err := b.f.States()
	if err != nil {
		return 0, b.fail(err)
	}
	check := func(s *FS, how string) error {
		n++
		trail := append(b.trail[:len(b.trail):len(b.trail)], how)
		if r.Check != nil {
			if err := r.Check(s); err != nil {
				return boot{s, trail}.fail(fmt.Errorf("%w; there is %q", err, s.Names()))
			}
		}
		found(boot{s, trail})
		return nil
	}
	if err := check(b.f.clone(), "killed"); err != nil {
		return n, err
	}
	for s := range all {
		if err := check(s, "power cut"); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (b boot) fail(err error) error {
	return fmt.Errorf("%s: %w", strings.Join(b.trail, "; "), err)
}

// Faults runs the code once for each of its calls and has that one fail. The
// code must return an error, and then what Check and failed say must be true, or
// be done in spite of it; and the next run must complete. failed may be nil. It
// returns how many calls there are.
func (r Run) Faults(failed func(f *FS) error) (calls int, err error) {
	for number := 1; ; number++ {
		f := r.Start.clone()
		count, which := 0, call{}
		f.called = func(c call) error {
			if count++; count != number {
				return nil
			}
			which = c
			return syscall.EIO
		}
		err := r.Do(f)
		f.called = nil
		if count < number {
			return count, err
		}
		b := boot{f, []string{fmt.Sprintf("call %d, %s, fails", number, which)}}
		checks := []func(*FS) error{r.Check, failed}
		if err == nil {
			checks = []func(*FS) error{r.Done}
		}
		for _, check := range checks {
			if check == nil {
				continue
			}
			if bad := check(f); bad != nil {
				return count, b.fail(fmt.Errorf("the code returns %v: %w; there is %q", err, bad, f.Names()))
			}
		}
		if _, err := r.boot(b); err != nil {
			return count, err
		}
	}
}
