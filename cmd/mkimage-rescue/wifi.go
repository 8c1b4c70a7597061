package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

func newWiFi(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "wifi",
		Short: "give the passphrase of the wireless network",
		Long: `mkimage-rescue wifi asks for the passphrase of the medium's wireless network,
which is a secret of the payload, and connects to it.`,
		Example: `  mkimage-rescue wifi`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
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
			fmt.Fprintf(p.stdout, "Passphrase of %s (it is not shown): ", oneLine(host.Medium.Rescue.Network.WiFi.SSID))
			text, err := term.ReadPassword(unix.Stdin)
			fmt.Fprintln(p.stdout)
			if err != nil {
				return err
			}
			defer clear(text)
			return handOver(passphrasePath, text)
		},
	}
}

// handOver writes a secret for the machine, which reads a whole one or none.
func handOver(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// closedWiFi reports whether a medium knows a wireless network with a passphrase.
func closedWiFi(host *plan.Plan) bool {
	return host != nil && host.Medium != nil && host.Medium.Rescue.Network.WiFi.Passphrase != ""
}
