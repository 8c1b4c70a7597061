package disks

import (
	"context"
	"fmt"
	"time"
)

// Patience says how long a disk is waited for. One that is about to fail answers
// late, or never, and must not hold up whoever looks at the others.
type Patience struct {
	Read  time.Duration // for opening it, and for each read
	Whole time.Duration // for all of them, from when it is opened
}

// Open wraps a Scanner's Open, which may be nil: what takes longer is an error, and once a read was
// given up all others of that disk fail at once. What hangs in the kernel is left
// behind, and ends when the kernel gives up.
func (p Patience) Open(ctx context.Context, open func(name string) (Node, error)) func(name string) (Node, error) {
	open = Scanner{Open: open}.withDefaults().Open
	return func(name string) (Node, error) {
		whole, stop := context.WithTimeoutCause(ctx, p.Whole, errSlow{"all that was read of it", p.Whole})
		end, giveUp := context.WithCancelCause(whole)
		late := func(n Node) { n.Close() }
		n, err := await(end, p.Read, "opening it", func() (Node, error) { return open(name) }, late)
		if err != nil {
			giveUp(err)
			stop()
			return nil, err
		}
		return &patientNode{Node: n, read: p.Read, ctx: end, giveUp: giveUp, stop: stop}, nil
	}
}

// errSlow says what a disk did not do in time.
type errSlow struct {
	what  string
	after time.Duration
}

// Error implements error.
func (e errSlow) Error() string {
	return fmt.Sprintf("does not answer: %s took more than %v", e.what, e.after)
}

// Unwrap makes it a timeout.
func (errSlow) Unwrap() error { return context.DeadlineExceeded }

// patientNode is a node whose reads end in time.
type patientNode struct {
	Node
	read   time.Duration
	ctx    context.Context // is over when the disk is given up
	giveUp context.CancelCauseFunc
	stop   context.CancelFunc
}

// ReadAt implements io.ReaderAt. It reads into memory of its own, since a read
// that was given up may go on.
func (n *patientNode) ReadAt(p []byte, off int64) (int, error) {
	if n.ctx.Err() != nil {
		return 0, context.Cause(n.ctx)
	}
	type result struct {
		buf []byte
		err error
	}
	r, err := await(n.ctx, n.read, fmt.Sprintf("a read of %d bytes at %d", len(p), off), func() (result, error) {
		buf := make([]byte, len(p))
		got, err := n.Node.ReadAt(buf, off)
		return result{buf[:got], err}, nil
	}, nil)
	if err != nil {
		n.giveUp(err)
		return 0, err
	}
	return copy(p, r.buf), r.err
}

// Close implements io.Closer. A disk that was given up is closed by its last read.
func (n *patientNode) Close() error {
	givenUp := n.ctx.Err() != nil
	n.stop()
	if givenUp {
		go n.Node.Close()
		return nil
	}
	return n.Node.Close()
}

// await returns what do returns, or an error when that takes too long or ctx is
// over. A value that comes after that goes to late, where that is not nil.
func await[T any](ctx context.Context, limit time.Duration, what string, do func() (T, error), late func(T)) (v T, err error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := do()
		done <- result{v, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.v, r.err
	case <-timer.C:
		err = errSlow{what, limit}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if late != nil {
		go func() {
			if r := <-done; r.err == nil {
				late(r.v)
			}
		}()
	}
	return v, err
}
