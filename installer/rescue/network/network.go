package network

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Config says which networks are wanted, and who is told.
type Config struct {
	Wired  bool
	WiFi   *WiFi  // nil for none
	Resolv string // path of resolv.conf
	// Log takes lines of a log. State takes a line on all interfaces whenever it has
	// changed, such as "eth0 10.0.2.15/24". Leased takes each new lease. None may be nil,
	// and all may be called at any time from anywhere.
	Log    func(format string, args ...any)
	State  func(text string)
	Leased func(Lease)
}

// networks is what is known of the interfaces.
type networks struct {
	Config
	jobs sync.WaitGroup

	mu     sync.Mutex
	ports  map[int]*port // by the index of the interface
	said   string        // the last state
	leases map[string]Lease
}

// port is an interface that is used.
type port struct {
	index   int
	name    string
	wifi    bool
	state   string
	cancel  context.CancelFunc // of what is done for it beside the client
	carrier context.CancelFunc // of the client, nil without a carrier
	ended   chan struct{}      // closed when that client has ended
}

// again is the pause before the interfaces are listened to anew.
const again = time.Second

// Run keeps the machine on its networks until ctx ends, and gives its leases up then. Its error is one of setting up the loopback interface or ctx's.
func Run(ctx context.Context, c Config) error {
	n := &networks{Config: c, ports: map[int]*port{}, leases: map[string]Lease{}}
	defer n.jobs.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.tell()
	if lo, err := netlink.LinkByName("lo"); err != nil {
		return err
	} else if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for {
		if err := n.watch(ctx); err != nil {
			n.Log("network: %v", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(again):
		}
	}
}

// watch takes in what the kernel says of interfaces, first of all that are there.
func (n *networks) watch(ctx context.Context) error {
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	failed := make(chan error, 1)
	err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{
		ListExisting: true,
		ErrorCallback: func(err error) {
			select {
			case failed <- err:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	defer func() {
		close(done)
		go func() {
			for range updates { // so that its sender ends
			}
		}()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case u, open := <-updates:
			if !open {
				return errors.Join(errors.New("the kernel tells no more of interfaces"), next(failed))
			}
			n.update(ctx, u)
		}
	}
}

// next returns an error that waits, if one does.
func next(c <-chan error) error {
	select {
	case err := <-c:
		return err
	default:
		return nil
	}
}

// update takes in the state of an interface.
func (n *networks) update(ctx context.Context, u netlink.LinkUpdate) {
	attrs := u.Link.Attrs()
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.ports[attrs.Index]
	switch {
	case u.Header.Type == unix.RTM_DELLINK:
		if p != nil {
			p.cancel()
			// It runs no more, which the kernel says before it is gone, as a rule: a message can
			// be lost, and the client would ask for ever where no interface is.
			if p.carrier != nil {
				p.carrier()
			}
			delete(n.ports, attrs.Index)
		}
	case p == nil && n.wants(u.Link):
		p = n.use(ctx, attrs.Index, attrs.Name)
	}
	if p != nil && u.Header.Type != unix.RTM_DELLINK {
		// Of interfaces whose driver does not know whether there is a cable the kernel says
		// that they run.
		n.carrierOf(ctx, p, attrs.RawFlags&unix.IFF_RUNNING != 0, attrs.HardwareAddr)
	}
	n.tellLocked()
}

// wants reports whether an interface is one of the networks that are wanted: one of
// hardware, or of a virtual machine's or a container's host.
func (n *networks) wants(l netlink.Link) bool {
	switch l.(type) {
	case *netlink.Device, *netlink.Veth:
	default:
		return false
	}
	a := l.Attrs()
	if a.EncapType != "ether" || a.Flags&net.FlagLoopback != 0 {
		return false
	}
	if isWiFi(a.Name) {
		return n.WiFi != nil
	}
	return n.Wired
}

// isWiFi reports whether an interface is one of the kernel's 802.11 stack.
func isWiFi(name string) bool {
	_, err := os.Stat("/sys/class/net/" + name + "/phy80211")
	return err == nil
}

// use begins to use an interface. Its firmware may take time to be loaded.
func (n *networks) use(ctx context.Context, index int, name string) *port {
	ctx, cancel := context.WithCancel(ctx)
	p := &port{index: index, name: name, wifi: isWiFi(name), state: "no cable", cancel: cancel, ended: make(chan struct{})}
	close(p.ended)
	if p.wifi {
		p.state = "not connected"
	}
	n.ports[index] = p
	n.jobs.Go(func() {
		if err := setUp(index); err != nil {
			n.set(p, "cannot be set up: "+err.Error())
			return
		}
		if p.wifi {
			n.supplicant(ctx, p)
		}
	})
	return p
}

func setUp(index int) error {
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

// carrierOf starts or ends the client of DHCP of an interface.
func (n *networks) carrierOf(ctx context.Context, p *port, runs bool, mac net.HardwareAddr) {
	if runs == (p.carrier != nil) {
		return
	}
	if !runs {
		p.carrier()
		p.carrier, p.state = nil, "no cable"
		if p.wifi {
			p.state = "not connected"
		}
		return
	}
	ctx, p.carrier = context.WithCancel(ctx)
	before := p.ended
	p.ended = make(chan struct{})
	p.state = "asks for an address"
	c := newClient(n, p, mac)
	ended := p.ended
	n.jobs.Go(func() {
		defer close(ended)
		<-before
		c.run(ctx)
	})
}

// set changes the state of an interface, and logs it.
func (n *networks) set(p *port, state string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.state != state {
		n.Log("network: %s: %s", p.name, state)
	}
	p.state = state
	n.tellLocked()
}

func (n *networks) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tellLocked()
}

// tellLocked hands out the state if it has changed.
func (n *networks) tellLocked() {
	var parts []string
	for _, p := range n.ports {
		parts = append(parts, p.name+" "+p.state)
	}
	slices.Sort(parts)
	text := strings.Join(parts, ", ")
	if text == "" {
		text = "no adapter"
	}
	if text != n.said {
		n.said = text
		n.State(text)
	}
}
