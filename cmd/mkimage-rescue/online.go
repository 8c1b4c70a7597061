package main

import (
	"context"
	"net"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/rescue/clock"
	"github.com/6FaNcY9/mkimage/installer/rescue/network"
	"github.com/6FaNcY9/mkimage/installer/rescue/sshserver"
)

// show puts a line above the menus; "" takes it off.
func (m *keeper) show(name, line string) {
	if err := m.board.set(name, oneLine(line)); err != nil {
		m.log.printf("%s: %v", name, err)
	}
}

// resolvPath is where the resolver looks for name servers.
const resolvPath = "/etc/resolv.conf"

// network keeps the machine on its networks.
func (m *keeper) network(ctx context.Context) error {
	w := m.rescue.Network
	c := network.Config{Wired: w.Wired != nil && *w.Wired, Resolv: resolvPath, Log: m.log.printf}
	if w.WiFi.SSID != "" {
		c.WiFi = &network.WiFi{SSID: w.WiFi.SSID, Dir: runDir}
		if w.WiFi.Passphrase != "" {
			c.WiFi.Passphrase, c.WiFi.Tried = passphraseBox.take, m.triedPassphrase
		}
	}
	if !c.Wired && c.WiFi == nil {
		return nil
	}
	c.State = func(text string) { m.show("network", text) }
	c.Leased = func(l network.Lease) { go m.setClock(ctx, l) }
	return network.Run(ctx, c)
}

// triedPassphrase says what became of a passphrase to who has typed it.
func (m *keeper) triedPassphrase(err error) {
	outcome := joined
	if err != nil {
		outcome = err.Error()
	}
	if err := passphraseBox.tell(outcome); err != nil {
		m.log.printf("network: %v", err)
	}
}

// pool is asked for the time where the network names no server.
const pool = "pool.ntp.org"

// setClock sets the clock by the first server that answers, once.
func (m *keeper) setClock(ctx context.Context, l network.Lease) {
	if !m.clock.TryLock() {
		return
	}
	var servers []string
	for _, a := range l.NTP {
		servers = append(servers, a.String())
	}
	for _, server := range append(servers, pool) {
		behind, err := clock.Ask(ctx, net.JoinHostPort(server, clock.Port))
		if err == nil {
			err = m.judge(server, behind)
		}
		if err == nil {
			return // and nobody asks again
		}
		m.log.printf("clock: %v", err)
		m.show("clock", "not set by "+server+": "+err.Error())
	}
	m.clock.Unlock()
}

// judge does what is to be done with the clock. Its error is that the server is not to be
// believed, or the clock cannot be set.
func (m *keeper) judge(server string, behind time.Duration) error {
	line := ""
	defer func() { m.show("clock", line) }() // in the place of what an earlier server did not know
	switch clock.Judge(time.Now(), behind, m.made) {
	case clock.Absurd:
		return fault.New(fault.Input, "", "server of time %s: is %s before the medium was made", server, m.made.Sub(time.Now().Add(behind)).Round(time.Second))
	case clock.Ahead:
		line = "is " + (-behind).Round(time.Second).String() + " ahead of " + server + ", and not set back"
	case clock.Set:
		if err := clock.Forward(behind); err != nil {
			return err
		}
		m.log.printf("clock: set forward by %s, as %s says", behind.Round(time.Millisecond), server)
	}
	return nil
}

// ssh lets the owners of the profile's keys in.
func (m *keeper) ssh(ctx context.Context) error {
	if len(m.rescue.SSHKeys) == 0 {
		return nil
	}
	shell := findShell(shells)
	if shell == "" {
		return fault.New(fault.Input, "", "no shell for who logs in")
	}
	err := sshserver.Write(sshserver.Config{
		Root: "/", Keys: m.rescue.SSHKeys, Shell: shell, Path: searchPath, Prompt: prompt,
		Welcome: "mkimage-rescue menu        the menu\n" + welcome,
	})
	if err != nil {
		return err
	}
	fingerprint, err := sshserver.HostKey(ctx)
	if err != nil {
		return err
	}
	welcomes := "as root, host key " + fingerprint
	m.show("ssh", welcomes)
	return sshserver.Serve(ctx, m.log, func(err error) {
		m.log.printf("%v", err)
		m.show("ssh", welcomes+" ("+err.Error()+", and is started again)")
	})
}
