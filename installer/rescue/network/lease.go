package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Lease is what a server of DHCP gives to an interface.
type Lease struct {
	Interface string
	Address   netip.Prefix // of the interface, with the size of its network
	Routes    []Route
	DNS, NTP  []netip.Addr // servers
	Domain    string       // in which names are looked up; "" for none
	Time      time.Duration
	Renew     time.Duration // when it is to be renewed, before Time
}

// Route is the way to a network.
type Route struct {
	To  netip.Prefix
	Via netip.Addr // unspecified: directly
}

// Limits of what is taken of an answer, and of its times. The resolver of glibc uses
// three name servers (MAXNS).
const (
	maxDNS       = 3
	maxNTP       = 4
	maxRoutes    = 16
	minLease     = time.Minute
	defaultLease = time.Hour // where the server, against RFC 2131, says nothing
)

// leaseOf reads the answer of a server. What is wrong with a part that can be done
// without only leaves that out.
func leaseOf(name string, ack *dhcpv4.DHCPv4) (Lease, error) {
	l := Lease{Interface: name}
	own, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	if !ok || !isHost(own) {
		return l, fmt.Errorf("DHCP: address %s, expected one of a host", ack.YourIPAddr)
	}
	mask := ack.SubnetMask()
	if mask == nil {
		mask = ack.YourIPAddr.DefaultMask()
	}
	ones, bits := mask.Size()
	if bits != 32 || ones == 0 {
		return l, fmt.Errorf("DHCP: mask %s, expected one of a network", mask)
	}
	l.Address = netip.PrefixFrom(own, ones)
	l.Routes = routesOf(ack)
	l.DNS, l.NTP = hosts(ack.DNS(), maxDNS), hosts(ack.NTPServers(), maxNTP)
	if d := strings.TrimRight(ack.DomainName(), ".\x00"); isDomain(d) {
		l.Domain = d
	}
	l.Time = max(ack.IPAddressLeaseTime(defaultLease), minLease)
	l.Renew = ack.IPAddressRenewalTime(l.Time / 2)
	if l.Renew < minLease/2 || l.Renew >= l.Time {
		l.Renew = l.Time / 2
	}
	return l, nil
}

// isHost reports whether a single host of IPv4 can have an address.
func isHost(a netip.Addr) bool {
	return a.Is4() && a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a.As4()[0] != 0 && a.As4()[0] < 240
}

// hosts returns the first n of those that are addresses of hosts.
func hosts(list []net.IP, n int) []netip.Addr {
	var found []netip.Addr
	for _, ip := range list {
		if a, ok := netip.AddrFromSlice(ip.To4()); ok && isHost(a) && len(found) < n {
			found = append(found, a)
		}
	}
	return found
}

// routesOf returns the routes of an answer. Those of RFC 3442 take the place of the
// router.
func routesOf(ack *dhcpv4.DHCPv4) []Route {
	var routes []Route
	for _, r := range ack.ClasslessStaticRoute() {
		if r == nil || r.Dest == nil || len(routes) == maxRoutes {
			continue
		}
		to, ok := netip.AddrFromSlice(r.Dest.IP.To4())
		via, via4 := netip.AddrFromSlice(r.Router.To4())
		ones, bits := r.Dest.Mask.Size()
		if !ok || !via4 || bits != 32 || !via.IsUnspecified() && !isHost(via) {
			continue
		}
		routes = append(routes, Route{netip.PrefixFrom(to, ones).Masked(), via})
	}
	if routes != nil {
		return routes
	}
	if via := hosts(ack.Router(), 1); via != nil {
		return []Route{{netip.PrefixFrom(netip.IPv4Unspecified(), 0), via[0]}}
	}
	return nil
}

// maxDomain is how long the name of a domain is, in bytes (RFC 1035, 2.3.4).
const maxDomain = 253

// isDomain reports whether a text can be the name of a domain in resolv.conf, where it
// must be one word of one line.
func isDomain(text string) bool {
	return text != "" && len(text) <= maxDomain && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

// errNoAnswer is for a network without a server of DHCP.
var errNoAnswer = errors.New("no answer to DHCP")

// resolvConf is the text of resolv.conf(5) for leases, the better ones first.
func resolvConf(leases []Lease) string {
	var servers, domains []string
	for _, l := range leases {
		for _, a := range l.DNS {
			if len(servers) < maxDNS {
				servers = append(servers, "nameserver "+a.String()+"\n")
			}
		}
		if l.Domain != "" {
			domains = append(domains, l.Domain)
		}
	}
	text := strings.Join(servers, "")
	if domains != nil {
		text += "search " + strings.Join(domains, " ") + "\n"
	}
	return text
}
