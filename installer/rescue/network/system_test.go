package network

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// inside says that the test runs in a network namespace of its own.
const inside = "MKIMAGE_TEST_NETWORK"

// TestDHCP gets a lease from the server of busybox, over a cable that is plugged in
// late, pulled out and plugged in again.
func TestDHCP(t *testing.T) {
	imgtest.Need(t, "busybox", "unshare", "ip")
	imgtest.NeedRoot(t)
	if os.Getenv(inside) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestDHCP$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	resolv := filepath.Join(dir, "resolv.conf")
	states, leases := make(chan string, 100), make(chan Lease, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			Wired: true, Resolv: resolv, Log: t.Logf,
			State: func(text string) { states <- text }, Leased: func(l Lease) { leases <- l },
		})
	}()
	until := func(want string) {
		t.Helper()
		for late := time.After(30 * time.Second); ; {
			select {
			case got := <-states:
				if got == want {
					return
				}
			case <-late:
				t.Fatalf("never %q", want)
			}
		}
	}
	until("no adapter")
	cable := plug(t, dir)
	until("cable0 no cable")
	pull := func(state string) {
		t.Helper()
		if out, err := exec.Command("ip", "link", "set", "cable0", state).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	cable("up")
	until("cable0 10.9.0.20/24")
	want := Lease{
		Interface: "cable0", Address: netip.MustParsePrefix("10.9.0.20/24"), Routes: []Route{{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.9.0.1")}},
		DNS: addrs("10.9.0.2"), NTP: addrs("10.9.0.3"), Domain: "home.arpa", Time: 120 * time.Second, Renew: 60 * time.Second,
	}
	if got := <-leases; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("lease %+v; want %+v", got, want)
	}
	if text, err := os.ReadFile(resolv); err != nil || string(text) != "nameserver 10.9.0.2\nsearch home.arpa\n" {
		t.Errorf("resolv.conf %q, %v", text, err)
	}
	routes, err := netlink.RouteGet(ip("192.0.2.1"))
	if err != nil || len(routes) != 1 || routes[0].Gw.String() != "10.9.0.1" || routes[0].Src.String() != "10.9.0.20" {
		t.Errorf("routes %v, %v", routes, err)
	}
	cable("down")
	until("cable0 no cable")
	cable("up")
	until("cable0 10.9.0.20/24")
	pull("down") // by somebody else
	until("cable0 no cable")
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(resolv); err != nil || len(text) != 0 {
		t.Errorf("resolv.conf without a lease: %q, %v", text, err)
	}
}

// plug makes the two ends of a cable, with a server of DHCP at the other one, and
// returns what plugs it in ("up") and pulls it out ("down").
func plug(t *testing.T, dir string) func(state string) {
	t.Helper()
	conf := filepath.Join(dir, "udhcpd.conf")
	text := "start 10.9.0.20\nend 10.9.0.20\ninterface other0\nmax_leases 1\nlease_file " + dir + "/leases\npidfile " + dir + "/pid\n" +
		"opt subnet 255.255.255.0\nopt router 10.9.0.1\nopt dns 10.9.0.2\nopt ntpsrv 10.9.0.3\nopt domain home.arpa\nopt lease 120\n"
	for name, text := range map[string]string{conf: text, filepath.Join(dir, "leases"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := `read go; ip addr add 10.9.0.1/24 dev other0; busybox udhcpd -f ` + conf + ` 2>/dev/null &
		trap 'kill $!' EXIT
		while read state; do if [ "$state" != go ]; then ip link set other0 "$state"; echo done; fi; done`
	cmd := exec.Command("unshare", "--net", "sh", "-c", script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for { // until it has its namespace
		if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)); err != nil || its != own {
			break
		}
	}
	if out, err := exec.Command("ip", "link", "add", "cable0", "type", "veth", "peer", "name", "other0", "netns", fmt.Sprint(cmd.Process.Pid)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fmt.Fprintln(in, "go")
	answers := bufio.NewScanner(out)
	return func(state string) {
		t.Helper()
		fmt.Fprintln(in, state)
		if !answers.Scan() || answers.Text() != "done" {
			t.Fatalf("the other end of the cable: %q, %v", answers.Text(), answers.Err())
		}
	}
}
