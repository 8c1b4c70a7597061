package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
)

// Times of asking a server: for each answer, how often in a row, and between two rows.
// A switch that looks for loops passes nothing on for half a minute.
const (
	answerTime = 3 * time.Second
	answers    = 4
	restTime   = 5 * time.Second
)

// client gets and keeps the lease of an interface while that has a carrier.
type client struct {
	*networks
	port *port
	// ask asks for a lease, or for more time of one that is held.
	ask func(ctx context.Context, held *nclient4.Lease) (*nclient4.Lease, error)
}

// newClient makes a client that asks the network of an interface.
func newClient(n *networks, p *port, mac net.HardwareAddr) *client {
	return &client{networks: n, port: p, ask: func(ctx context.Context, held *nclient4.Lease) (*nclient4.Lease, error) {
		return exchange(ctx, p.name, mac, held)
	}}
}

// wanted is what a server is asked for.
var wanted = dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName,
	dhcpv4.OptionNTPServers, dhcpv4.OptionClasslessStaticRoute)

// run asks until there is a lease, and again when it is over, until ctx ends.
func (c *client) run(ctx context.Context) {
	for {
		err := c.hold(ctx)
		if ctx.Err() != nil {
			return
		}
		c.set(c.port, err.Error())
		if !wait(ctx, restTime) {
			return
		}
	}
}

// wait reports whether the time is over before ctx.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// hold gets a lease and renews it for as long as the server does. The lease is given up
// when it returns.
func (c *client) hold(ctx context.Context) error {
	raw, err := c.ask(ctx, nil)
	if err != nil {
		return err
	}
	var current Lease
	defer func() { c.giveUp(current) }()
	for {
		l, err := leaseOf(c.port.name, raw.ACK)
		if err != nil {
			return err
		}
		if current.Address.IsValid() && current.Address != l.Address {
			c.giveUp(current)
		}
		current = l
		if err := c.take(l); err != nil {
			return err
		}
		if raw, err = c.renew(ctx, raw, l); err != nil {
			return err
		}
	}
}

// renew waits until a lease is to be renewed and does it. A server that is silent is
// asked again at half of the time that is left (RFC 2131, 4.4.5).
func (c *client) renew(ctx context.Context, raw *nclient4.Lease, l Lease) (*nclient4.Lease, error) {
	end := time.Now().Add(l.Time)
	for next := l.Renew; ; next = max(time.Until(end)/2, minLease/2) {
		if next >= time.Until(end) {
			return nil, errors.New("the lease is over")
		}
		if !wait(ctx, next) {
			return nil, ctx.Err()
		}
		renewed, err := c.ask(ctx, raw)
		if nak := (*nclient4.ErrNak)(nil); err == nil || errors.As(err, &nak) || ctx.Err() != nil {
			return renewed, err
		}
		c.Log("network: %s: lease not renewed: %v", c.port.name, err)
	}
}

// exchange asks on the interface of a name, with a socket for as long as that takes.
func exchange(ctx context.Context, name string, mac net.HardwareAddr, held *nclient4.Lease) (l *nclient4.Lease, err error) {
	conn, err := nclient4.NewRawUDPConn(name, nclient4.ClientPort)
	if err != nil {
		return nil, fmt.Errorf("DHCP: %w", err)
	}
	d, err := nclient4.NewWithConn(conn, mac, nclient4.WithTimeout(answerTime), nclient4.WithRetry(answers))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if held == nil {
		l, err = d.Request(ctx, wanted)
	} else {
		l, err = d.Renew(ctx, held, wanted)
	}
	if errors.Is(err, nclient4.ErrNoResponse) || errors.Is(err, context.DeadlineExceeded) {
		err = errNoAnswer
	}
	return l, err
}

// take puts a lease into effect.
func (c *client) take(l Lease) error {
	link, err := netlink.LinkByIndex(c.port.index)
	if err != nil {
		return err
	}
	seconds := int(min(l.Time, maxKernel) / time.Second)
	addr := &netlink.Addr{IPNet: ipNet(l.Address), ValidLft: seconds, PreferedLft: seconds}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("address %s: %w", l.Address, err)
	}
	for _, r := range l.Routes {
		route := &netlink.Route{LinkIndex: c.port.index, Dst: ipNet(r.To), Src: l.Address.Addr().AsSlice(), Priority: c.metric()}
		if !r.Via.IsUnspecified() {
			// Also of a router that is in no network of the interface, as some clouds have it.
			route.Gw, route.Flags = r.Via.AsSlice(), int(netlink.FLAG_ONLINK)
		}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("route to %s: %w", r.To, err)
		}
	}
	c.set(c.port, l.Address.String())
	if err := c.names(l.Interface, &l); err != nil {
		c.Log("network: %v", err)
	}
	c.Leased(l)
	return nil
}

// maxKernel is the longest time of an address that the kernel takes and that is not for
// ever (INFINITY_LIFE_TIME of include/net/addrconf.h).
const maxKernel = (1<<31 - 1) * time.Second

// Metrics of routes: a cable is better than none.
const (
	metricWired = 100
	metricWiFi  = 600
)

func (c *client) metric() int {
	if c.port.wifi {
		return metricWiFi + c.port.index
	}
	return metricWired + c.port.index
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// giveUp takes a lease out of effect. Routes go with their address.
func (c *client) giveUp(l Lease) {
	if !l.Address.IsValid() {
		return
	}
	if link, err := netlink.LinkByIndex(c.port.index); err == nil { // else it was unplugged
		_ = netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(l.Address)})
	}
	if err := c.names(l.Interface, nil); err != nil {
		c.Log("network: %v", err)
	}
}

// names notes the lease of an interface, nil for none, and writes resolv.conf.
func (n *networks) names(name string, l *Lease) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if delete(n.leases, name); l != nil {
		n.leases[name] = *l
	}
	leases := slices.SortedFunc(maps.Values(n.leases), func(a, b Lease) int { return cmp.Compare(a.Interface, b.Interface) })
	text := resolvConf(leases)
	if err := os.WriteFile(n.Resolv+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(n.Resolv+".new", n.Resolv)
}
