package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/terminal/terminaltest"
	"github.com/6FaNcY9/mkimage/installer/rescue/network"
)

// atWiFi sits at a terminal with a machine whose network has the passphrase "right one",
// or whose adapter is missing.
func atWiFi(t *testing.T, adapter bool, patience time.Duration) (c *terminaltest.Console, ended <-chan error) {
	t.Helper()
	dir := t.TempDir()
	box := letterbox{secret: filepath.Join(dir, "secret"), said: filepath.Join(dir, "said")}
	if err := box.tell(joined); err != nil { // by a passphrase before
		t.Fatal(err)
	}
	c = terminaltest.New(t)
	tty, err := os.OpenFile(c.Node, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	if adapter {
		go func() {
			for {
				text, err := box.take(ctx)
				if err != nil {
					return
				}
				outcome := joined
				if string(text) != "right one" {
					outcome = network.ErrRefused.Error()
				}
				if err := box.tell(outcome); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	done := make(chan error, 1)
	go func() {
		w := wifi{program: &program{stdin: tty, stdout: tty, stderr: tty}, ssid: "home", box: box, patience: patience}
		done <- w.run(ctx)
		tty.Close()
	}()
	return c, done
}

func TestWiFi(t *testing.T) {
	for _, tt := range []struct {
		name    string
		adapter bool
		typed   []string
		shown   string // behind the last one
		want    string // of the error
	}{
		{"right", true, []string{"right one"}, "home is joined.", ""},
		{"the third one", true, []string{"short", "wrong one", "right one"}, "home is joined.", ""},
		{"refused", true, []string{"wrong one"}, "Not joined: the network refuses this passphrase", ""},
		{"too short", true, []string{"short"}, "Not joined: passphrase: has 5 characters, expected 8 to 63", ""},
		{"none of three", true, []string{"short", "wrong one", "wrong two"}, "Not joined: ", "none of 3 passphrases is that of home"},
		{"no adapter", false, []string{"right one"}, "Joining home", "has neither taken nor refused the passphrase"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			patience := time.Minute
			if !tt.adapter {
				patience = 10 * time.Millisecond
			}
			c, ended := atWiFi(t, tt.adapter, patience)
			for _, text := range tt.typed {
				c.See("Passphrase of home (it is not shown): ")
				c.Press(text + "\n")
			}
			c.See(tt.shown)
			if tt.want == "" && !strings.Contains(tt.shown, "is joined") {
				c.See("Passphrase of home") // is asked for again
				return
			}
			err := <-ended
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(fault.HintOf(err), "mkimage-rescue wifi")) {
				t.Errorf("%v; want %q", err, tt.want)
			}
			if strings.Contains(c.All(), "right one") {
				t.Errorf("the passphrase is shown:\n%s", c.All())
			}
		})
	}
}
