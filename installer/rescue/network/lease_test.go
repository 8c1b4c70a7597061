package network

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// ack makes an answer of a server.
func ack(t testing.TB, own string, options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	t.Helper()
	m, err := dhcpv4.New(dhcpv4.WithMessageType(dhcpv4.MessageTypeAck), dhcpv4.WithYourIP(net.ParseIP(own)))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		m.UpdateOption(o)
	}
	return m
}

func ip(text string) net.IP { return net.ParseIP(text).To4() }

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func mask(ones int) dhcpv4.Option { return dhcpv4.OptSubnetMask(net.CIDRMask(ones, 32)) }

func seconds(code dhcpv4.OptionCode, n uint32) dhcpv4.Option {
	return dhcpv4.OptGeneric(code, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func TestLeaseOf(t *testing.T) {
	const hour = time.Hour
	all := netip.MustParsePrefix("0.0.0.0/0")
	own := netip.MustParsePrefix("10.0.2.15/24")
	least := Lease{Interface: "eth0", Address: own, Time: hour, Renew: hour / 2}
	with := func(f func(*Lease)) Lease {
		l := least
		f(&l)
		return l
	}
	tests := []struct {
		name string
		in   *dhcpv4.DHCPv4
		want Lease
		err  string
	}{
		{"least", ack(t, "10.0.2.15", mask(24)), least, ""},
		{"all", ack(t, "10.0.2.15", mask(24), dhcpv4.OptRouter(ip("10.0.2.2"), ip("10.0.2.3")), dhcpv4.OptDNS(ip("10.0.2.3"), ip("0.0.0.0"), ip("1.1.1.1"), ip("9.9.9.9"), ip("8.8.8.8")),
			dhcpv4.OptNTPServers(ip("10.0.2.4")), dhcpv4.OptDomainName("home.arpa."), seconds(dhcpv4.OptionIPAddressLeaseTime, 7200)),
			with(func(l *Lease) {
				l.Routes = []Route{{all, netip.MustParseAddr("10.0.2.2")}}
				l.DNS, l.NTP = addrs("10.0.2.3", "1.1.1.1", "9.9.9.9"), addrs("10.0.2.4")
				l.Domain, l.Time, l.Renew = "home.arpa", 2*hour, hour
			}), ""},
		{"mask of a class", ack(t, "192.168.1.2"), with(func(l *Lease) { l.Address = netip.MustParsePrefix("192.168.1.2/24") }), ""},
		{"a host's own network", ack(t, "10.0.2.15", mask(32)), with(func(l *Lease) { l.Address = netip.MustParsePrefix("10.0.2.15/32") }), ""},
		{"routes before the router", ack(t, "10.0.2.15", mask(24), dhcpv4.OptRouter(ip("10.0.2.2")), dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, []byte{8, 10, 10, 0, 2, 9, 0, 10, 0, 2, 7, 32, 1, 2, 3, 4, 0, 0, 0, 0})),
			with(func(l *Lease) {
				l.Routes = []Route{{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParseAddr("10.0.2.9")}, {all, netip.MustParseAddr("10.0.2.7")}, {netip.MustParsePrefix("1.2.3.4/32"), netip.IPv4Unspecified()}}
			}), ""},
		{"renewal as the server says", ack(t, "10.0.2.15", mask(24), seconds(dhcpv4.OptionRenewTimeValue, 600)), with(func(l *Lease) { l.Renew = 10 * time.Minute }), ""},
		{"renewal too late", ack(t, "10.0.2.15", mask(24), seconds(dhcpv4.OptionRenewTimeValue, 3600)), least, ""},
		{"renewal at once", ack(t, "10.0.2.15", mask(24), seconds(dhcpv4.OptionRenewTimeValue, 29)), least, ""},
		{"short", ack(t, "10.0.2.15", mask(24), seconds(dhcpv4.OptionIPAddressLeaseTime, 59)), with(func(l *Lease) { l.Time, l.Renew = time.Minute, time.Minute/2 }), ""},
		{"a minute", ack(t, "10.0.2.15", mask(24), seconds(dhcpv4.OptionIPAddressLeaseTime, 60)), with(func(l *Lease) { l.Time, l.Renew = time.Minute, time.Minute/2 }), ""},
		{"more than a minute", ack(t, "10.0.2.15", mask(24), seconds(dhcpv4.OptionIPAddressLeaseTime, 62)), with(func(l *Lease) { l.Time, l.Renew = 62*time.Second, 31*time.Second }), ""},
		{"a domain of two lines", ack(t, "10.0.2.15", mask(24), dhcpv4.OptDomainName("a\nnameserver 6.6.6.6")), least, ""},
		{"no address", ack(t, "0.0.0.0", mask(24)), Lease{}, "DHCP: address 0.0.0.0, expected one of a host"},
		{"loopback", ack(t, "127.0.0.1", mask(24)), Lease{}, "expected one of a host"},
		{"multicast", ack(t, "224.0.0.1", mask(24)), Lease{}, "expected one of a host"},
		{"broadcast", ack(t, "255.255.255.255", mask(24)), Lease{}, "expected one of a host"},
		{"mask with a hole", ack(t, "10.0.2.15", dhcpv4.OptSubnetMask(net.IPMask{255, 0, 255, 0})), Lease{}, "DHCP: mask ff00ff00, expected one of a network"},
		{"mask of nothing", ack(t, "10.0.2.15", mask(0)), Lease{}, "DHCP: mask 00000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, err := dhcpv4.FromBytes(tt.in.ToBytes()) // as it comes
			if err != nil {
				t.Fatal(err)
			}
			got, err := leaseOf("eth0", in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v; want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestRoutesLimit(t *testing.T) {
	for _, n := range []int{maxRoutes - 1, maxRoutes, maxRoutes + 1} {
		var option []byte
		for i := range n {
			option = append(option, 32, 10, 1, 1, byte(i), 10, 0, 2, 2)
		}
		got := routesOf(ack(t, "10.0.2.15", dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, option)))
		if len(got) != min(n, maxRoutes) {
			t.Errorf("%d routes: %d are taken", n, len(got))
		}
	}
}

func TestIsDomain(t *testing.T) {
	for _, n := range []int{maxDomain - 1, maxDomain, maxDomain + 1} {
		if got := isDomain(strings.Repeat("a", n)); got != (n <= maxDomain) {
			t.Errorf("%d bytes: %v", n, got)
		}
	}
	for text, want := range map[string]bool{"": false, "home.arpa": true, "a-b_c.D1": true, "a b": false, "a\n": false, "a;b": false, "é": false} {
		if got := isDomain(text); got != want {
			t.Errorf("isDomain(%q) = %v; want %v", text, got, want)
		}
	}
}

func TestResolvConf(t *testing.T) {
	a := Lease{DNS: addrs("10.0.2.3", "10.0.2.4"), Domain: "a"}
	b := Lease{DNS: addrs("10.1.0.1", "10.1.0.2"), Domain: "b"}
	for _, tt := range []struct {
		name string
		in   []Lease
		want string
	}{
		{"none", nil, ""},
		{"one", []Lease{a}, "nameserver 10.0.2.3\nnameserver 10.0.2.4\nsearch a\n"},
		{"two", []Lease{a, b}, "nameserver 10.0.2.3\nnameserver 10.0.2.4\nnameserver 10.1.0.1\nsearch a b\n"},
	} {
		if diff := cmp.Diff(tt.want, resolvConf(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzLeaseOf(f *testing.F) {
	f.Add(ack(f, "10.0.2.15", mask(24), dhcpv4.OptRouter(ip("10.0.2.2")), dhcpv4.OptDNS(ip("10.0.2.3")), dhcpv4.OptDomainName("a")).ToBytes())
	f.Add(ack(f, "10.0.2.15", mask(24), dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, []byte{8, 10, 10, 0, 2, 9}), seconds(dhcpv4.OptionIPAddressLeaseTime, 1<<32-1)).ToBytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := dhcpv4.FromBytes(data)
		if err != nil {
			return
		}
		l, err := leaseOf("eth0", m)
		if err != nil {
			return
		}
		if !l.Address.IsValid() || l.Renew <= 0 || l.Renew >= l.Time || len(l.Routes) > maxRoutes {
			t.Errorf("lease %+v", l)
		}
		for line := range strings.Lines(resolvConf([]Lease{l})) {
			if !strings.HasPrefix(line, "nameserver ") && !strings.HasPrefix(line, "search ") || strings.Count(line, " ") != 1 {
				t.Errorf("resolv.conf: %q", line)
			}
		}
	})
}

func TestSupplicantConf(t *testing.T) {
	const wpa = "network={\n\tssid=686f6d65\n\tscan_ssid=1\n\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\""
	key := strings.Repeat("0aF9", 16)
	for _, tt := range []struct {
		name       string
		passphrase []byte
		want, err  string
	}{
		{"open", nil, "network={\n\tssid=686f6d65\n\tscan_ssid=1\n\tkey_mgmt=NONE\n}\n", ""},
		{"passphrase", []byte(`a "b" \ c`), wpa + `a "b" \ c` + "\"\n}\n", ""},
		{"key", []byte(key), "network={\n\tssid=686f6d65\n\tscan_ssid=1\n\tkey_mgmt=WPA-PSK\n\tpsk=" + key + "\n}\n", ""},
		{"empty", []byte{}, "", "passphrase: has 0 characters, expected 8 to 63"},
		{"7", []byte("1234567"), "", "has 7 characters"},
		{"8", []byte("12345678"), wpa + "12345678\"\n}\n", ""},
		{"63", []byte(strings.Repeat("x", 63)), wpa + strings.Repeat("x", 63) + "\"\n}\n", ""},
		{"64 and no key", []byte(strings.Repeat("x", 64)), "", "has 64 characters"},
		{"two lines", []byte("12345678\n\tpriority=1"), "", "passphrase: expected printable ASCII"},
	} {
		got, err := supplicantConf("home", tt.passphrase)
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || tt.err == "" && err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v; want %q, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestTail(t *testing.T) {
	for _, n := range []int{maxTail - 1, maxTail, maxTail + 1} {
		out := &listener{heard: func(error) {}}
		text := "x" + strings.Repeat("y", n-1)
		for len(text) > 0 {
			k := min(len(text), 7)
			if _, err := out.Write([]byte(text[:k])); err != nil {
				t.Fatal(err)
			}
			text = text[k:]
		}
		if len(out.tail) != min(n, maxTail) || (out.tail[0] == 'x') != (n <= maxTail) {
			t.Errorf("%d bytes: %d are left", n, len(out.tail))
		}
	}
}
