package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/rescue/network"
)

func newWiFi(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "wifi",
		Short: "give the passphrase of the wireless network",
		Long: `mkimage-rescue wifi asks for the passphrase of the medium's wireless network,
which is a secret of the payload, and connects to it. One that the network
refuses can be typed again, three times in all. Run again, it asks for another
one, which takes the place of that in use.`,
		Example: `  mkimage-rescue wifi`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyHere("wifi", "nmcli device wifi connect SSID"); err != nil {
				return err
			}
			p.started = true
			host, err := planHere()
			if err != nil {
				return err
			}
			if !closedWiFi(host) {
				return fault.New(fault.Usage, "set rescue.network.wifi of the installer's profile", "wifi: this medium knows no wireless network with a passphrase")
			}
			w := wifi{program: p, ssid: oneLine(host.Medium.Rescue.Network.WiFi.SSID), box: passphraseBox, patience: joinTime}
			return w.run(cmd.Context())
		},
	}
}

// wifi asks for the passphrase of a network.
type wifi struct {
	*program
	ssid     string
	box      letterbox
	patience time.Duration // with the network
}

// passphrases is how many can be typed.
const passphrases = 3

// joinTime is how long it may take until it is known what becomes of a passphrase: the
// adapter listens on all channels first.
const joinTime = 30 * time.Second

// run asks until the network is joined, or nobody knows its passphrase.
func (w *wifi) run(ctx context.Context) error {
	for range passphrases {
		refused, err := w.try(ctx)
		if err != nil {
			return err
		}
		if refused == "" {
			fmt.Fprintf(w.stdout, "%s is joined. The menu shows the address.\n", w.ssid)
			return nil
		}
		fmt.Fprintf(w.stdout, "Not joined: %s\n", oneLine(refused))
	}
	return fault.New(fault.Input, "mkimage-rescue wifi asks again", "wifi: none of %d passphrases is that of %s", passphrases, w.ssid)
}

// try asks for a passphrase and says why it was refused, "" when the network is joined.
func (w *wifi) try(ctx context.Context) (refused string, err error) {
	text, err := w.typed(ctx, "Passphrase of "+w.ssid+" (it is not shown): ", true)
	if err != nil {
		return "", err
	}
	defer clear(text)
	if err := network.CheckPassphrase(text); err != nil {
		return err.Error(), nil
	}
	if err := w.box.put(text); err != nil {
		return "", err
	}
	fmt.Fprintf(w.stdout, "Joining %s, which takes up to %s.\n", w.ssid, w.patience)
	ctx, cancel := context.WithTimeoutCause(ctx, w.patience, errNoOutcome)
	defer cancel()
	outcome, err := w.box.outcome(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errNoOutcome) {
		err = fault.New(fault.Target, "wait for what the menu shows, or give another one by mkimage-rescue wifi; "+logPath+" has more", "wifi: %s has neither taken nor refused the passphrase within %s: it is tried on", w.ssid, w.patience)
	}
	if err != nil || outcome == joined {
		return "", err
	}
	return outcome, nil
}

var errNoOutcome = errors.New("no outcome")

// closedWiFi reports whether a medium knows a wireless network with a passphrase.
func closedWiFi(host *plan.Plan) bool {
	return host != nil && host.Medium != nil && host.Medium.Rescue.Network.WiFi.Passphrase != ""
}

// letterbox is where a passphrase is put for the machine, by somebody who types it or by
// who has decrypted it, and where the machine says what became of it.
type letterbox struct{ secret, said string } // paths

// passphraseBox is that of this machine.
var passphraseBox = letterbox{secret: runDir + "/wifi-passphrase", said: runDir + "/wifi-outcome"}

// joined is the outcome of a passphrase that is right; another one says what was wrong.
const joined = "joined"

// emptied is how often a letterbox is looked into.
const emptied = 200 * time.Millisecond

// put puts a secret in, which is taken as a whole.
func (b letterbox) put(text []byte) error {
	if err := os.WriteFile(b.secret+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(b.secret+".new", b.secret)
}

// take waits for a secret and takes it out. The outcome of the one before goes first, so
// that whoever sees that it was taken sees no other outcome than its own. Of several that
// wait, as of several adapters, one takes it and the others wait on.
func (b letterbox) take(ctx context.Context) ([]byte, error) {
	return wait(ctx, func() ([]byte, error) {
		text, err := os.ReadFile(b.secret)
		if err != nil {
			return nil, err
		}
		if err := os.Remove(b.said); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := os.Remove(b.secret); err != nil {
			clear(text)
			return nil, err
		}
		return text, nil
	})
}

// tell says what became of the secret that was taken last.
func (b letterbox) tell(outcome string) error { return replaceFile(b.said, outcome) }

// outcome waits for what becomes of the secret that was put in.
func (b letterbox) outcome(ctx context.Context) (string, error) {
	text, err := wait(ctx, func() ([]byte, error) {
		if _, err := os.Lstat(b.secret); err == nil { // not taken yet
			return nil, fs.ErrNotExist
		}
		return os.ReadFile(b.said)
	})
	return string(text), err
}

// wait reads something once it is there.
func wait(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	tick := time.NewTicker(emptied)
	defer tick.Stop()
	for {
		text, err := read()
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}
