package network

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// WiFi is the wireless network of a machine.
type WiFi struct {
	SSID string
	// Passphrase returns the network's passphrase, or its key in 64 hexadecimal digits; it
	// may wait for that until ctx ends. What it returns is wiped. It is called again at
	// once: the next one that it returns takes the place of the one before. It is nil for an
	// open network.
	Passphrase func(ctx context.Context) ([]byte, error)
	// Tried is told what became of each passphrase, where that is found out: nil once the
	// network was joined by it, ErrRefused, or why it can be none. It may be nil.
	Tried func(error)
	Dir   string // where the configuration of wpa_supplicant goes
}

// ErrRefused says that a network has another passphrase than the one that was tried. A
// weak signal can look so, too: the same one is tried on.
var ErrRefused = errors.New("the network refuses this passphrase")

// Lengths of a passphrase in bytes, and of a key in digits (IEEE 802.11).
const (
	minPassphrase = 8
	maxPassphrase = 63
	keyDigits     = 64
)

// CheckPassphrase says why a text can be no passphrase and no key.
func CheckPassphrase(text []byte) error {
	switch {
	case len(text) == keyDigits && isHex(text):
	case len(text) < minPassphrase || len(text) > maxPassphrase:
		return fmt.Errorf("passphrase: has %d characters, expected %d to %d", len(text), minPassphrase, maxPassphrase)
	case strings.ContainsFunc(string(text), func(r rune) bool { return r < ' ' || r > '~' }):
		return errors.New("passphrase: expected printable ASCII")
	}
	return nil
}

// supplicantConf is the configuration of wpa_supplicant for a network
// (wpa_supplicant.conf(5)). A nil passphrase is for an open network.
func supplicantConf(ssid string, passphrase []byte) ([]byte, error) {
	text := []byte("network={\n\tssid=" + hex.EncodeToString([]byte(ssid)) + "\n\tscan_ssid=1\n")
	if passphrase == nil {
		return append(text, "\tkey_mgmt=NONE\n}\n"...), nil
	}
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	if len(passphrase) == keyDigits {
		text = append(append(text, "\tkey_mgmt=WPA-PSK\n\tpsk="...), passphrase...)
		return append(text, "\n}\n"...), nil
	}
	// Its own text ends at the last quote of the line, so that one in it needs no escape.
	text = append(append(text, "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\""...), passphrase...)
	return append(text, "\"\n}\n"...), nil
}

func isHex(text []byte) bool {
	return !strings.ContainsFunc(string(text), func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
}

// supplicant keeps an interface on the wireless network until ctx ends, by the last
// passphrase that was given.
func (n *networks) supplicant(ctx context.Context, p *port) {
	if n.WiFi.Passphrase == nil {
		n.join(ctx, p, nil)
		return
	}
	n.set(p, "waits for the passphrase of "+n.WiFi.SSID)
	end := func() {}
	defer func() { end() }()
	for {
		passphrase, err := n.WiFi.Passphrase(ctx)
		if err != nil {
			if ctx.Err() == nil {
				n.set(p, err.Error())
				<-ctx.Done() // with the passphrase before
			}
			return
		}
		if passphrase == nil {
			passphrase = []byte{} // not an open network
		}
		end()
		end = n.try(ctx, p, passphrase)
	}
}

// try begins to join the network by a passphrase, and returns what ends that.
func (n *networks) try(ctx context.Context, p *port, passphrase []byte) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.join(ctx, p, passphrase)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// join keeps an interface on the network until ctx ends, by a passphrase that it wipes,
// nil for an open network. It returns at once where that can be no passphrase.
func (n *networks) join(ctx context.Context, p *port, passphrase []byte) {
	path, err := n.configure(p, passphrase)
	if err != nil {
		n.set(p, err.Error())
		n.tried(ctx, err)
		return
	}
	n.set(p, "connects to "+n.WiFi.SSID)
	for ctx.Err() == nil {
		said := &listener{heard: func(err error) {
			if err != nil && ctx.Err() == nil {
				n.set(p, n.WiFi.SSID+" refuses the passphrase")
			}
			n.tried(ctx, err)
		}}
		cmd := exec.CommandContext(ctx, "wpa_supplicant", "-i", p.name, "-c", path, "-D", "nl80211")
		cmd.Stdout, cmd.Stderr = said, said
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it leaves the network then
		cmd.WaitDelay = waitDelay
		err := cmd.Run()
		if ctx.Err() != nil {
			break
		}
		n.Log("network: %s: wpa_supplicant: %v: %s", p.name, err, said.tail)
		n.set(p, "wpa_supplicant ended, see the log")
		wait(ctx, restTime)
	}
	if err := os.Remove(path); err != nil {
		n.Log("network: %v", err)
	}
}

// tried tells what became of a passphrase, unless another one has taken its place.
func (n *networks) tried(ctx context.Context, err error) {
	if n.WiFi.Tried != nil && ctx.Err() == nil {
		n.WiFi.Tried(err)
	}
}

// configure writes the configuration, which has the passphrase in it, and wipes that.
func (n *networks) configure(p *port, passphrase []byte) (path string, err error) {
	defer clear(passphrase)
	text, err := supplicantConf(n.WiFi.SSID, passphrase)
	if err != nil {
		return "", err
	}
	defer clear(text)
	path = filepath.Join(n.WiFi.Dir, "wpa-"+p.name+".conf")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	return path, errors.Join(err, f.Close())
}

// waitDelay is how long wpa_supplicant may take to leave its network.
const waitDelay = 2 * time.Second

// maxTail is how much of a program's output is worth a line of the log, in bytes.
const maxTail = 500

// What wpa_supplicant says of a passphrase: that it has joined a network, and that a
// handshake has failed, of WPA2 and of WPA3 (SAE, whose second message confirms that both
// know it).
var (
	saysJoined  = []string{"CTRL-EVENT-CONNECTED"}
	saysRefused = []string{"reason=WRONG_KEY", "auth_type=3 auth_transaction=2 status_code="}
)

// listener keeps the end of what wpa_supplicant writes, and hears in it what became of the
// passphrase: nil and ErrRefused once each, and no refusal once the network was joined.
type listener struct {
	tail            []byte
	heard           func(error)
	joined, refused bool
}

// Write takes it all.
func (l *listener) Write(b []byte) (int, error) {
	l.tail = append(l.tail, b...)
	says := func(words []string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return bytes.Contains(l.tail, []byte(word)) })
	}
	switch {
	case !l.joined && says(saysJoined):
		l.joined = true
		l.heard(nil)
	case !l.joined && !l.refused && says(saysRefused):
		l.refused = true
		l.heard(ErrRefused)
	}
	l.tail = append(l.tail[:0], l.tail[max(0, len(l.tail)-maxTail):]...)
	return len(b), nil
}
