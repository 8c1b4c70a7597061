package boot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/uevent"
)

// grace is how long a device that matches waits for others that are still
// being read, before it is taken: a failing disk must not hold up the boot,
// and a healthy one answers within it.
const grace = 2 * time.Second

const missingHint = "compare root= with the devices below; if the disk is not among them, its driver is not in the initramfs or failed; " +
	"mkimage.timeout=SECONDS waits longer"

// finder watches block devices come and go, and reads what each of them is.
type finder struct {
	host    host
	names   chan string // to be read (again)
	results chan found
	gone    chan string
	devices map[string]Device // by name
	pending map[string]int    // reads under way
	grace   time.Duration
}

type found struct {
	name   string
	device Device
	err    error
}

// newFinder starts to listen and lists what is there, in this order, so that
// nothing that appears meanwhile is missed. It ends with ctx.
func newFinder(ctx context.Context, h host) (*finder, error) {
	u, err := uevent.Listen()
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, u.Close)
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	// Nobody takes names before wait, which must find all of these.
	f := &finder{host: h, names: make(chan string, len(names)), results: make(chan found), gone: make(chan string),
		devices: map[string]Device{}, pending: map[string]int{}, grace: grace}
	for _, name := range names {
		f.names <- name
	}
	go f.listen(ctx, u)
	return f, nil
}

func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

func (f *finder) listen(ctx context.Context, u *uevent.Listener) {
	for {
		ev, err := u.Next()
		switch {
		case errors.Is(err, uevent.ErrLost):
			names, _ := f.host.names()
			for _, name := range names {
				send(ctx, f.names, name)
			}
		case err != nil:
			return
		case ev.Subsystem != "block" || ev.DevName == "":
		case ev.Action == "remove":
			send(ctx, f.gone, ev.DevName)
		default:
			send(ctx, f.names, ev.DevName)
		}
	}
}

// wait returns the device that root means as soon as it is there.
func (f *finder) wait(ctx context.Context, root Root, timeout time.Duration) (Device, error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	var enough <-chan time.Time
	for {
		d, ok, err := root.Select(f.known())
		switch {
		case err != nil:
			return Device{}, err
		case ok && len(f.pending) == 0 && len(f.names) == 0:
			return d, nil
		case ok && enough == nil:
			enough = time.After(f.grace)
		}
		select {
		case name := <-f.names:
			f.read(ctx, name)
		case name := <-f.gone:
			delete(f.devices, name)
		case r := <-f.results:
			f.take(r)
		case <-enough:
			if ok {
				return d, nil
			}
			enough = nil
		case <-deadline.C:
			return Device{}, fault.New(fault.Input, missingHint, "%s: no such device within %s", root, timeout)
		}
	}
}

// read starts to read a device; a disk that hangs holds up only its own.
func (f *finder) read(ctx context.Context, name string) {
	f.pending[name]++
	go func() {
		d, err := f.host.identify(name)
		send(ctx, f.results, found{name, d, err})
	}()
}

func (f *finder) take(r found) {
	if f.pending[r.name]--; f.pending[r.name] == 0 {
		delete(f.pending, r.name)
	}
	if r.err == nil {
		f.devices[r.name] = r.device
	}
}

// known returns the devices known so far by name.
func (f *finder) known() []Device {
	var devices []Device
	for _, name := range slices.Sorted(maps.Keys(f.devices)) {
		devices = append(devices, f.devices[name])
	}
	return devices
}
