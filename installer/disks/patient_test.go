package disks_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/6FaNcY9/mkimage/installer/disks"
)

// deaf is a disk of which reads behind a place never end, until the test does.
type deaf struct {
	io.ReaderAt
	from   int64
	never  chan struct{}
	closed chan struct{}
	reads  int
}

func newDeaf(from int64) *deaf {
	return &deaf{strings.NewReader(strings.Repeat("x", 8192)), from, make(chan struct{}), make(chan struct{}), 0}
}

func (d *deaf) Size() int64 { return 8192 }

func (d *deaf) Close() error {
	close(d.closed)
	return nil
}

func (d *deaf) ReadAt(p []byte, off int64) (int, error) {
	d.reads++
	if off >= d.from {
		<-d.never
	}
	return d.ReaderAt.ReadAt(p, off)
}

func TestPatience(t *testing.T) {
	patience := disks.Patience{Read: 10 * time.Second, Whole: time.Minute}
	synctest.Test(t, func(t *testing.T) {
		d := newDeaf(4096)
		n, err := patience.Open(t.Context(), func(string) (disks.Node, error) { return d, nil })("x")
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		if got, err := n.ReadAt(buf, 0); got != 4096 || err != nil || buf[4095] != 'x' {
			t.Fatalf("a read in time: %d, %v", got, err)
		}
		if got, err := n.ReadAt(buf, 8000); got != 0 || err == nil || !errors.Is(err, context.DeadlineExceeded) || err.Error() != "does not answer: a read of 4096 bytes at 8000 took more than 10s" {
			t.Errorf("a read that hangs: %d, %v", got, err)
		}
		before := d.reads
		if _, err := n.ReadAt(buf, 0); err == nil || d.reads != before {
			t.Errorf("after that: %v, %d reads; want none", err, d.reads-before)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		close(d.never)
		<-d.closed
	})
}

// TestPatienceShortRead: the end of a disk is no fault of its own.
func TestPatienceShortRead(t *testing.T) {
	d := newDeaf(1 << 20)
	n, err := disks.Patience{Read: time.Minute, Whole: time.Minute}.Open(t.Context(), func(string) (disks.Node, error) { return d, nil })("x")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := n.ReadAt(make([]byte, 4096), 8000); got != 192 || err != io.EOF {
		t.Errorf("read across the end: %d, %v; want 192 and EOF", got, err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func TestPatienceWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeaf(8192)
		n, err := disks.Patience{Read: time.Hour, Whole: time.Minute}.Open(t.Context(), func(string) (disks.Node, error) { return d, nil })("x")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute - 1)
		if _, err := n.ReadAt(make([]byte, 1), 0); err != nil {
			t.Errorf("before its time is over: %v", err)
		}
		<-time.After(1)
		synctest.Wait()
		if _, err := n.ReadAt(make([]byte, 1), 0); err == nil || err.Error() != "does not answer: all that was read of it took more than 1m0s" {
			t.Errorf("after that: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		<-d.closed
	})
}

func TestPatienceOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, opened := newDeaf(0), make(chan struct{})
		_, err := disks.Patience{Read: time.Second, Whole: time.Minute}.Open(t.Context(), func(string) (disks.Node, error) {
			<-opened
			return d, nil
		})("x")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("opening that hangs: %v", err)
		}
		close(opened)
		<-d.closed // what comes late is not left open
	})
}

// TestScanAtOnce: a disk that does not answer does not hold up the others.
func TestScanAtOnce(t *testing.T) {
	m := laptop(t)
	s := m.scanner()
	others := make(chan string, 3)
	s.Open = func(name string) (disks.Node, error) {
		if !strings.HasSuffix(name, "nvme0n1") {
			others <- name
			return nil, io.ErrUnexpectedEOF
		}
		for range 3 {
			<-others // it answers only after all others were opened
		}
		return nil, io.ErrUnexpectedEOF
	}
	if got := len(scan(t, s)); got != 4 {
		t.Errorf("%d disks; want 4", got)
	}
}

// TestScanPanics: a panic about one disk is that of who scans.
func TestScanPanics(t *testing.T) {
	s := laptop(t).scanner()
	s.Open = func(name string) (disks.Node, error) { panic("bug of " + name) }
	defer func() {
		if p := recover(); p == nil || !strings.HasPrefix(p.(string), "bug of ") {
			t.Errorf("recovered %v", p)
		}
	}()
	scan(t, s)
}
