package network

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// fakeSupplicant says of a passphrase what wpa_supplicant says, and stays.
const fakeSupplicant = `#!/bin/sh
if grep -q 'psk="right one"' "$4"; then
	echo 'wlan0: CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:00:00 completed'
else
	echo 'wlan0: CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="home" auth_failures=1 duration=10 reason=WRONG_KEY'
fi
exec sleep 60
`

// TestPassphraseAgain: each passphrase is judged, and takes the place of the one before.
func TestPassphraseAgain(t *testing.T) {
	imgtest.Need(t, "grep", "sleep")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "wpa_supplicant"), []byte(fakeSupplicant), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	given, outcomes := make(chan []byte), make(chan error, 10)
	n := &networks{ports: map[int]*port{}, Config: Config{Log: t.Logf, State: func(string) {}, WiFi: &WiFi{
		SSID: "home", Dir: dir, Tried: func(err error) { outcomes <- err },
		Passphrase: func(ctx context.Context) ([]byte, error) {
			select {
			case text := <-given:
				return text, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}}}
	p := &port{name: "wlan0", wifi: true}
	n.ports[1] = p
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.supplicant(ctx, p)
	}()
	for _, tt := range []struct{ text, state, want string }{
		{"short", "passphrase: has 5 characters, expected 8 to 63", "passphrase: has 5 characters, expected 8 to 63"},
		{"wrong one", "home refuses the passphrase", ErrRefused.Error()},
		{"right one", "connects to home", ""},
		{"wrong two", "home refuses the passphrase", ErrRefused.Error()},
	} {
		text := []byte(tt.text)
		given <- text
		got := ""
		select {
		case err := <-outcomes:
			if err != nil {
				got = err.Error()
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: no outcome", tt.text)
		}
		n.mu.Lock()
		state := p.state
		n.mu.Unlock()
		if got != tt.want || state != tt.state {
			t.Errorf("%s: %q, state %q; want %q, %q", tt.text, got, state, tt.want, tt.state)
		}
		if strings.Trim(string(text), "\x00") != "" {
			t.Errorf("%s: is left in memory", tt.text)
		}
	}
	cancel()
	<-ended
	if _, err := os.Stat(filepath.Join(dir, "wpa-wlan0.conf")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("configuration with a passphrase left behind: %v", err)
	}
}

func TestListener(t *testing.T) {
	const connected, wrong, sae = "x: CTRL-EVENT-CONNECTED - y\n", "x: CTRL-EVENT-SSID-TEMP-DISABLED auth_failures=1 reason=WRONG_KEY\n", "x: CTRL-EVENT-AUTH-REJECT 02:00 auth_type=3 auth_transaction=2 status_code=15\n"
	for _, tt := range []struct{ name, says, want string }{
		{"nothing", "Successfully initialized wpa_supplicant\n", ""},
		{"joined", connected + connected, "joined "},
		{"WPA2", wrong + wrong, "refused "},
		{"WPA3", sae, "refused "},
		{"refused, then joined", wrong + connected, "refused joined "},
		{"joined, then a handshake fails", connected + wrong, "joined "},
		{"another reason", "x: CTRL-EVENT-SSID-TEMP-DISABLED reason=CONN_FAILED\n", ""},
	} {
		for _, piece := range []int{1, 7, len(tt.says)} {
			got := ""
			l := &listener{heard: func(err error) {
				if got += "joined "; err != nil {
					got = strings.TrimSuffix(got, "joined ") + "refused "
				}
			}}
			for text := tt.says; text != ""; {
				k := min(len(text), piece)
				if n, err := l.Write([]byte(text[:k])); n != k || err != nil {
					t.Fatal(n, err)
				}
				text = text[k:]
			}
			if got != tt.want && !(piece > 7 && strings.HasSuffix(tt.want, got)) { // all at once: joined is what counts
				t.Errorf("%s in pieces of %d: %q; want %q", tt.name, piece, got, tt.want)
			}
		}
	}
}

// TestGone: of an interface that is gone nothing goes on, even where the kernel has not
// said before that it runs no more.
func TestGone(t *testing.T) {
	n := &networks{ports: map[int]*port{}, Config: Config{Log: t.Logf, State: func(string) {}}}
	ended := ""
	n.ports[7] = &port{index: 7, cancel: func() { ended += "all " }, carrier: func() { ended += "client" }}
	gone := netlink.LinkUpdate{Header: unix.NlMsghdr{Type: unix.RTM_DELLINK}, Link: &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 7}}}
	n.update(t.Context(), gone)
	n.update(t.Context(), gone) // of one that is not known
	if ended != "all client" || len(n.ports) > 0 {
		t.Errorf("ended %q, %d ports left", ended, len(n.ports))
	}
}
