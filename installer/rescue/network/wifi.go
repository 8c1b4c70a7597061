package network

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// WiFi is the wireless network of a machine.
type WiFi struct {
	SSID string
	// Passphrase returns the network's passphrase, or its key in 64 hexadecimal digits; it
	// may wait for that until ctx ends. What it returns is wiped. It is nil for an open
	// network.
	Passphrase func(ctx context.Context) ([]byte, error)
	Dir        string // where the configuration of wpa_supplicant goes
}

// Lengths of a passphrase in bytes, and of a key in digits (IEEE 802.11).
const (
	minPassphrase = 8
	maxPassphrase = 63
	keyDigits     = 64
)

// supplicantConf is the configuration of wpa_supplicant for a network
// (wpa_supplicant.conf(5)). A nil passphrase is for an open network.
func supplicantConf(ssid string, passphrase []byte) ([]byte, error) {
	text := []byte("network={\n\tssid=" + hex.EncodeToString([]byte(ssid)) + "\n\tscan_ssid=1\n")
	switch {
	case passphrase == nil:
		return append(text, "\tkey_mgmt=NONE\n}\n"...), nil
	case len(passphrase) == keyDigits && isHex(passphrase):
		text = append(append(text, "\tkey_mgmt=WPA-PSK\n\tpsk="...), passphrase...)
		return append(text, "\n}\n"...), nil
	case len(passphrase) < minPassphrase || len(passphrase) > maxPassphrase:
		return nil, fmt.Errorf("passphrase: has %d characters, expected %d to %d", len(passphrase), minPassphrase, maxPassphrase)
	case strings.ContainsFunc(string(passphrase), func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, errors.New("passphrase: expected printable ASCII")
	}
	// Its own text ends at the last quote of the line, so that one in it needs no escape.
	text = append(append(text, "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\""...), passphrase...)
	return append(text, "\"\n}\n"...), nil
}

func isHex(text []byte) bool {
	return !strings.ContainsFunc(string(text), func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
}

// supplicant keeps an interface on the wireless network until ctx ends.
func (n *networks) supplicant(ctx context.Context, p *port) {
	path, err := n.configure(ctx, p)
	if err != nil {
		if ctx.Err() == nil {
			n.set(p, err.Error())
		}
		return
	}
	for ctx.Err() == nil {
		var said tail
		cmd := exec.CommandContext(ctx, "wpa_supplicant", "-i", p.name, "-c", path, "-D", "nl80211")
		cmd.Stdout, cmd.Stderr = &said, &said
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it leaves the network then
		cmd.WaitDelay = waitDelay
		err := cmd.Run()
		if ctx.Err() != nil {
			break
		}
		n.Log("network: %s: wpa_supplicant: %v: %s", p.name, err, said)
		n.set(p, "wpa_supplicant ended, see the log")
		wait(ctx, restTime)
	}
	if err := os.Remove(path); err != nil {
		n.Log("network: %v", err)
	}
}

// configure writes the configuration, which has the passphrase in it.
func (n *networks) configure(ctx context.Context, p *port) (path string, err error) {
	var passphrase []byte
	if n.WiFi.Passphrase != nil {
		n.set(p, "waits for the passphrase of "+n.WiFi.SSID)
		if passphrase, err = n.WiFi.Passphrase(ctx); err != nil {
			return "", err
		}
		defer clear(passphrase)
		if passphrase == nil {
			passphrase = []byte{} // not an open network
		}
	}
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
	if err = errors.Join(err, f.Close()); err == nil {
		n.set(p, "connects to "+n.WiFi.SSID)
	}
	return path, err
}

// waitDelay is how long wpa_supplicant may take to leave its network.
const waitDelay = 2 * time.Second

// maxTail is how much of a program's output is worth a line of the log, in bytes.
const maxTail = 500

// tail keeps the end of what is written.
type tail []byte

// Write takes it all.
func (t *tail) Write(b []byte) (int, error) {
	*t = append(*t, b...)
	*t = append((*t)[:0], (*t)[max(0, len(*t)-maxTail):]...)
	return len(b), nil
}
