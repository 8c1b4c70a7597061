package sshserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// HostKey makes the key by which the server is known, unless there is one, and returns
// its fingerprint as clients show it. It runs on the machine itself: Root is "/".
func HostKey(ctx context.Context) (fingerprint string, err error) {
	return hostKey(ctx, hostKeyPath)
}

func hostKey(ctx context.Context, path string) (string, error) {
	if _, err := os.Stat(path + ".pub"); errors.Is(err, fs.ErrNotExist) {
		// Without its public half a key may be half a key.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		cmd := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rescue", "-f", path)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("ssh-keygen: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		return "", err
	}
	return fingerprintOf(string(text))
}

// fingerprintOf returns the fingerprint of a line with a public key, as of ssh-keygen -l.
func fingerprintOf(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return "", fmt.Errorf("host key: expected a kind and a key, found %d words", len(words))
	}
	blob, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil {
		return "", fmt.Errorf("host key: %w", err)
	}
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), nil
}

// again is the pause before sshd is started again.
const again = 5 * time.Second

// patience is how long sshd may take to end.
const patience = 2 * time.Second

// Serve runs sshd, and again when it has ended, until ctx ends. What it says goes to log,
// and why it ended to failed. Its error is that there is no sshd.
func Serve(ctx context.Context, log io.Writer, failed func(error)) error {
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		return err
	}
	if sshd, err = filepath.Abs(sshd); err != nil { // it runs itself again by this path
		return err
	}
	for {
		cmd := exec.CommandContext(ctx, sshd, "-D", "-e", "-f", configPath)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = patience
		err := cmd.Run()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			err = errors.New("ended")
		}
		failed(fmt.Errorf("sshd: %w", err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(again):
		}
	}
}
