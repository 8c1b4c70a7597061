package qemutests

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// rescueProfile is that of a medium with a rescue environment alone, which the owner of a
// key reaches over the network.
const rescueProfile = `kind = "rescue"
description = "for tests"
payload = "bandit-minimal"
layout = "usb-rescue"

[rescue]
ssh_keys = ["%s"]
`

const sshPort = 22

// sshKey makes a key without a passphrase, and returns its file and the public key.
func sshKey(t testing.TB, name string) (file, public string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file)
	text, err := os.ReadFile(file + ".pub")
	check(t, err)
	return file, strings.TrimSpace(string(text))
}

// waitSSH waits until a server of SSH answers at an address: before there is one, QEMU
// takes a connection and ends it.
func waitSSH(t testing.TB, addr string) {
	t.Helper()
	ctx := step(t)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for !greets(ctx, addr) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: no server of SSH: %v", addr, ctx.Err())
		case <-tick.C:
		}
	}
}

// greets reports whether a server of SSH says its version (RFC 4253, 4.2).
func greets(ctx context.Context, addr string) bool {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	hello := make([]byte, len("SSH-2.0-"))
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, _ := c.Read(hello)
	return string(hello[:n]) == "SSH-2.0-"
}

// overSSH runs a command as root in the machine, and returns what it prints.
func overSSH(t testing.TB, addr, key, command string) (string, error) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	check(t, err)
	cmd := exec.CommandContext(step(t), "ssh", "-F", "none", "-i", key, "-p", port, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@"+host, command)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ssh: %w: %s", err, errs.String())
	}
	return out.String(), nil
}

// TestRescueAlone starts a medium that has nothing but the rescue environment, and does
// over the network what is otherwise done at the console: with the key of the profile, and
// with no other.
func TestRescueAlone(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.Need(t, Binary, "qemu-img", "ssh", "ssh-keygen", "ssh-keyscan")
	key, public := sshKey(t, "owner")
	other, _ := sshKey(t, "stranger")
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "test-rescue.toml"), fmt.Appendf(nil, rescueProfile, public), 0o644))
	stick := buildImage(t, bootCase{profile: "test-rescue", args: []string{"--profile-dir", dir}})
	laptop := laptopDisk(t, "bandit-minimal")
	before := digestData(t, laptop)

	r := &rescued{VM: startVM(t, Config{
		Name: "rescue", Keep: keepDir(t), Memory: 1024, Network: true, Forward: []int{sshPort},
		Disks: []Disk{{File: stick, Bus: USB, Serial: "STICK", Write: true}, {File: laptop, Bus: NVMe, Serial: "TARGET", Write: true}},
	})}
	r.menu(t)
	addr, err := r.Forwarded(step(t), sshPort)
	check(t, err)
	waitSSH(t, addr)
	check(t, r.Console.Send("\n"))
	shown, err := r.Expect(step(t), `as root, host key [^\n]*(SHA256:[\w+/]+)`)
	check(t, err)
	if got := hostKey(t, addr); !strings.Contains(got, shown[1]) {
		t.Errorf("host key %s; the menu shows %s", got, shown[1])
	}
	if _, err := overSSH(t, addr, other, "true"); err == nil || !strings.Contains(err.Error(), "Permission denied (publickey)") {
		t.Errorf("key of a stranger: %v; want a refusal that names no other way", err)
	}
	out, err := overSSH(t, addr, key, "mkimage-rescue inventory --json")
	check(t, err)
	var found struct {
		Systems []struct{ Hostname string }
	}
	check(t, json.Unmarshal([]byte(out), &found))
	if len(found.Systems) != 1 || found.Systems[0].Hostname != "bandit" {
		t.Errorf("systems %+v; want that of the laptop", found.Systems)
	}
	out, err = overSSH(t, addr, key, "mkimage-rescue enter --read-only -- cat /etc/hostname")
	if out != "bandit\n" || err != nil {
		t.Errorf("entered %q, %v", out, err)
	}
	check(t, r.Quit(step(t)))
	if digestData(t, laptop) != before {
		t.Error("the laptop's disk has changed, though nothing was to be written")
	}
}

// hostKey returns the fingerprint of a server's key.
func hostKey(t testing.TB, addr string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	check(t, err)
	file := filepath.Join(t.TempDir(), "key")
	check(t, os.WriteFile(file, []byte(command(t, "ssh-keyscan", "-T", "120", "-t", "ed25519", "-p", port, host)), 0o600))
	return command(t, "ssh-keygen", "-l", "-f", file)
}
