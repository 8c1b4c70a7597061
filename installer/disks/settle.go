package disks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Settling says how a machine is watched until its disks are there.
type Settling struct {
	// Events has a nil for every change of the machine's disks, and what ended
	// the watching. Without anybody who watches, nothing is known of what comes.
	Events <-chan error
	Scan   func(context.Context) ([]Disk, error)
	Quiet  time.Duration // without a change of the candidate before it is chosen
	Max    time.Duration // that the whole takes at most
}

// Settle waits until exactly one disk has been the candidate for the quiet time,
// and returns it. Disks come up one after the other: a second candidate ends it
// at once, also when the first has gone meanwhile, and so does an error of
// Events. A disk that is taken out and put in again is another one, known by its
// diskseq. Errors are those of Choose.
func Settle(ctx context.Context, s Settling, w Wants) (Disk, error) {
	if s.Events == nil || s.Scan == nil {
		return Disk{}, errors.New("disks: Settle without a source of events or a scan")
	}
	end := time.NewTimer(s.Max)
	defer end.Stop()
	quiet := time.NewTimer(s.Quiet)
	defer quiet.Stop()
	var watch watch
	if _, err := watch.look(ctx, s, w); err != nil {
		return Disk{}, err
	}
	for {
		over := false
		select {
		case <-ctx.Done():
			return Disk{}, ctx.Err()
		case err, open := <-s.Events:
			if err = drain(s.Events, watchError(err, open)); err != nil {
				return Disk{}, err
			}
		case <-end.C:
			return watch.late(ctx, s, w)
		case <-quiet.C:
			over = true
		}
		// Also at the end of the quiet time: what stands there now counts, not what
		// the last event told.
		changed, err := watch.look(ctx, s, w)
		if err != nil {
			return Disk{}, err
		}
		if over && !changed && watch.now != nil {
			return *watch.now, nil
		}
		if over || changed {
			quiet.Reset(s.Quiet)
		}
	}
}

// drain takes the events that wait already: one scan answers them all.
func drain(events <-chan error, err error) error {
	for err == nil {
		select {
		case next, open := <-events:
			err = watchError(next, open)
		default:
			return nil
		}
	}
	return err
}

// watchError returns why events ended, nil for an event.
func watchError(err error, open bool) error {
	if !open {
		err = errors.New("their source was closed")
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("events of disks: %w: whether there are more disks is not known", err)
}

// candidate is what tells one candidate from another.
type candidate struct {
	name, serial string
	diskseq      uint64
	size         int64
}

// watch is what was seen of candidates.
type watch struct {
	verdicts []Verdict  // of the last scan
	now      *Disk      // the candidate, nil when there is none
	ever     *Disk      // the one candidate that there has been
	key      *candidate // of ever
}

// look scans, and reports whether the candidate has come or gone.
func (w *watch) look(ctx context.Context, s Settling, wants Wants) (changed bool, err error) {
	list, err := s.Scan(ctx)
	if err != nil {
		return false, err
	}
	if w.verdicts, err = JudgeAll(list, wants); err != nil {
		return false, err
	}
	found := candidates(w.verdicts)
	if len(found) > 1 {
		_, err := Only(w.verdicts)
		return false, err
	}
	before := w.now
	w.now = nil
	if len(found) == 0 {
		return before != nil, nil
	}
	d := found[0]
	key := candidate{d.Name, d.Serial, d.Diskseq, d.Size}
	if w.key != nil && *w.key != key {
		return false, fault.New(fault.Target, severalHint([]Disk{d}), "%w: first %s (diskseq %d), then %s (diskseq %d)", ErrSeveral, w.ever, w.ever.Diskseq, d, d.Diskseq)
	}
	w.now, w.ever, w.key = &d, &d, &key
	return before == nil, nil
}

// late is the end of the time: there is no candidate, or one that came and went.
func (w *watch) late(ctx context.Context, s Settling, wants Wants) (Disk, error) {
	if _, err := w.look(ctx, s, wants); err != nil {
		return Disk{}, err
	}
	if _, err := Only(w.verdicts); err != nil {
		return Disk{}, err
	}
	return Disk{}, fault.New(fault.Target, "", "%s: came or went within the last %v, and the time of %v is over", w.now, s.Quiet, s.Max)
}
