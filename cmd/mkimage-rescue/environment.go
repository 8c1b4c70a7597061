package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Where the rescue environment keeps what it knows while it runs.
const (
	runDir       = "/run/mkimage"
	logPath      = runDir + "/rescue.log"
	statePath    = runDir + "/rescue.state"    // the lines above every menu
	problemsPath = runDir + "/rescue.problems" // what was wrong with the disks at the start
	lockPath     = runDir + "/rescue.lock"     // of the command that writes to disks
)

// searchPath is PATH of what the environment starts: mkimage's own programs, the shell's,
// and those of the payload's system.
var searchPath = strings.Join([]string{filepath.Dir(config.RescueProgram), firstboot.ProgramsDir, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/bbin"}, ":")

// isHere reports whether this is the rescue environment of a medium, and not some Linux
// that has the program.
func isHere() bool {
	_, err := os.Stat(config.RescuePlan)
	words, _ := os.ReadFile("/proc/cmdline")
	return err == nil && slices.Contains(strings.Fields(string(words)), plan.RescueWord)
}

// onlyHere refuses what is for the rescue environment alone.
func onlyHere(name, instead string) error {
	if isHere() {
		return nil
	}
	return fault.New(fault.Usage, instead, "%s: is for the rescue environment of a medium, which this is not", name)
}

// maxPlan bounds a plan in bytes; one with many users and files has 100 KiB.
const maxPlan = 16 << 20

// planHere returns the plan of the medium whose rescue environment this is, nil outside
// of one.
func planHere() (*plan.Plan, error) {
	f, err := os.Open(config.RescuePlan)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decodePlan(f)
}

func decodePlan(r io.Reader) (*plan.Plan, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxPlan+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxPlan {
		return nil, fault.New(fault.Input, "", "plan of the medium: expected at most %d bytes", maxPlan)
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fault.New(fault.Input, "", "plan of the medium: %w", err)
	}
	return &p, nil
}

// replaceFile writes a file that others read at any time.
func replaceFile(name, text string) error {
	if err := os.WriteFile(name+".new", []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
