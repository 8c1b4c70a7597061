package disks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// happening is a change of a machine's disks at some time.
type happening struct {
	after time.Duration
	list  []disks.Disk // what is there from now on
	quiet bool         // nobody announces it
	err   error        // of the source of events
	end   bool         // the source is closed
}

const (
	quietTime = 3 * time.Second
	maxTime   = 30 * time.Second
)

// settle runs Settle on a machine without disks to which something happens, and
// returns what came of it and when.
func settle(t *testing.T, list []happening) (d disks.Disk, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan error)
		var now []disks.Disk
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		go func() {
			for _, h := range list {
				<-time.After(time.Until(start.Add(h.after)))
				if h.end {
					close(events)
					return
				}
				if h.err == nil {
					now = h.list
				}
				if h.quiet {
					continue
				}
				select {
				case events <- h.err:
				case <-ctx.Done():
					return
				}
			}
		}()
		d, err = disks.Settle(ctx, disks.Settling{
			Events: events, Quiet: quietTime, Max: maxTime,
			Scan: func(context.Context) ([]disks.Disk, error) { synctest.Wait(); return now, nil },
		}, disks.Wants{Medium: noMedium})
		took = time.Since(start)
	})
	return d, took, err
}

func TestSettle(t *testing.T) {
	const s = time.Second
	first, other := []disks.Disk{inner(nil)}, []disks.Disk{second(nil)}
	both := []disks.Disk{inner(nil), second(nil)}
	usb := []disks.Disk{inner(nil), second(func(d *disks.Disk) { d.Bus = "usb" })}
	again := []disks.Disk{inner(func(d *disks.Disk) { d.Diskseq = 12 })}
	lost := errors.New("socket closed")
	tests := []struct {
		name string
		list []happening
		want string // name, "" for an error
		took time.Duration
		err  error // nil for one that the text tells
		text string
	}{
		{"there from the start", []happening{{0, first, true, nil, false}}, "nvme0n1", quietTime, nil, ""},
		{"comes late", []happening{{after: 20 * s, list: first}}, "nvme0n1", 20*s + quietTime, nil, ""},
		{"comes late and unannounced", []happening{{10 * s, first, true, nil, false}}, "nvme0n1", 12*s + quietTime, nil, ""},
		{"never comes", nil, "", maxTime, disks.ErrNone, "this machine has none"},
		{"events that change nothing restart nothing", []happening{{after: 1 * s, list: first}, {after: 2 * s, list: usb}, {after: 3 * s, list: usb}}, "nvme0n1", 1*s + quietTime, nil, ""},
		{"goes and comes back", []happening{{after: 1 * s, list: first}, {after: 2 * s}, {after: 3 * s, list: first}}, "nvme0n1", 3*s + quietTime, nil, ""},
		{"gone at the end of the quiet time", []happening{{after: 1 * s, list: first}, {2 * s, nil, true, nil, false}}, "", maxTime, disks.ErrNone, ""},
		{"second at once", []happening{{after: 2 * s, list: both}}, "", 2 * s, disks.ErrSeveral, "/dev/nvme1n1"},
		{"second within the quiet time", []happening{{after: 1 * s, list: first}, {after: 4*s - 1, list: both}}, "", 4*s - 1, disks.ErrSeveral, "/dev/nvme0n1"},
		{"second unannounced", []happening{{after: 1 * s, list: first}, {2 * s, both, true, nil, false}}, "", 4 * s, disks.ErrSeveral, ""},
		{"second instead of the first", []happening{{after: 1 * s, list: first}, {after: 2 * s}, {after: 3 * s, list: other}}, "", 3 * s, disks.ErrSeveral, "first /dev/nvme0n1"},
		{"same node, other diskseq", []happening{{after: 1 * s, list: first}, {after: 2 * s, list: again}}, "", 2 * s, disks.ErrSeveral, "(diskseq 12)"},
		{"comes at the end", []happening{{after: 29 * s, list: first}}, "", maxTime, nil, "the time of 30s is over"},
		{"events fail", []happening{{after: 1 * s, list: first}, {after: 2 * s, err: lost}}, "", 2 * s, lost, "not known"},
		{"events end", []happening{{after: 1 * s, list: first}, {after: 2 * s, end: true}}, "", 2 * s, nil, "closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, took, err := settle(t, tt.list)
			if d.Name != tt.want || (err == nil) != (tt.want != "") || took != tt.took {
				t.Errorf("%q, %v after %v; want %q after %v", d.Name, err, took, tt.want, tt.took)
			}
			if tt.err != nil && !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v; want %v with %q", err, tt.err, tt.text)
			}
			if tt.err != nil && tt.err != lost && fault.ClassOf(err) != fault.Target {
				t.Errorf("class %d; want target", fault.ClassOf(err))
			}
		})
	}
}

func TestSettleEnds(t *testing.T) {
	wants := disks.Wants{Medium: noMedium}
	scanned := errors.New("no sysfs")
	events := make(chan error)
	fails := disks.Settling{Events: events, Quiet: time.Hour, Max: time.Hour, Scan: func(context.Context) ([]disks.Disk, error) { return nil, scanned }}
	if _, err := disks.Settle(t.Context(), fails, wants); !errors.Is(err, scanned) {
		t.Errorf("scan fails: %v; want its error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	works := fails
	works.Scan = func(context.Context) ([]disks.Disk, error) { return nil, nil }
	if _, err := disks.Settle(ctx, works, wants); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v; want context.Canceled", err)
	}
	works.Events = nil
	if _, err := disks.Settle(t.Context(), works, wants); err == nil {
		t.Error("without a source of events: no error")
	}
}
