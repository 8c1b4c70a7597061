package qemutests

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// eventLog holds the events of a machine that nobody has looked at yet.
type eventLog struct {
	off <-chan struct{} // closed when no more will come

	mu     sync.Mutex
	events []Event
	more   chan struct{} // closed and replaced when an event comes
}

func newEventLog(off <-chan struct{}) *eventLog {
	return &eventLog{off: off, more: make(chan struct{})}
}

func (l *eventLog) record(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	close(l.more)
	l.more = make(chan struct{})
}

// forget makes wait look only at what comes from now on.
func (l *eventLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = nil
}

// wait returns the first event of one of these names that no earlier call has
// looked at; those before it count as looked at.
func (l *eventLog) wait(ctx context.Context, names ...string) (Event, error) {
	for {
		e, more, ok := l.next(names)
		if ok {
			return e, nil
		}
		select {
		case <-more:
		case <-l.off:
			if e, _, ok := l.next(names); ok { // it came last
				return e, nil
			}
			return Event{}, fmt.Errorf("event %q: %w", names, errGone)
		case <-ctx.Done():
			return Event{}, fmt.Errorf("event %q: %w", names, ctx.Err())
		}
	}
}

func (l *eventLog) next(names []string) (Event, <-chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.events {
		if slices.Contains(names, e.Name) {
			l.events = l.events[i+1:]
			return e, l.more, true
		}
	}
	l.events = nil
	return Event{}, l.more, false
}
