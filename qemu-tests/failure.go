package qemutests

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Failure is what went wrong with a running machine, and what helps to find
// out why.
type Failure struct {
	Err        error
	Machine    string   // name
	Serial     []string // last lines of the console
	SerialLog  string   // file with all of it; "" without Config.Keep
	Screenshot string   // file; "" without Config.Keep or without a display
	Command    string   // starts a machine like it by hand
}

// failureLines is how many lines of the console a Failure holds.
const failureLines = 100

// Error returns everything, over many lines; Err alone is the short form.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "machine %s: %v\n", f.Machine, f.Err)
	fmt.Fprintf(&b, "last %d lines of its console:\n", len(f.Serial))
	for _, line := range f.Serial {
		fmt.Fprintf(&b, "  | %s\n", line)
	}
	if f.SerialLog != "" {
		fmt.Fprintf(&b, "console: %s\n", f.SerialLog)
	}
	if f.Screenshot != "" {
		fmt.Fprintf(&b, "screenshot: %s\n", f.Screenshot)
	}
	fmt.Fprintf(&b, "to start one like it: %s", f.Command)
	return b.String()
}

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// fail makes a Failure of err, unless it is one or nil.
func (vm *VM) fail(err error) error {
	var known *Failure
	if err == nil || errors.As(err, &known) {
		return err
	}
	f := &Failure{Err: err, Machine: vm.machine.Name, Serial: vm.Console.Tail(failureLines), Command: vm.Command()}
	if vm.log != nil {
		f.SerialLog = vm.log.Name()
	}
	if vm.machine.Keep != "" {
		f.Screenshot = vm.failureScreenshot()
	}
	return f
}

// screenshotLimit is how long the screenshot of a failure may take; the
// caller's own time is over by then.
const screenshotLimit = 10 * time.Second

func (vm *VM) failureScreenshot() string {
	ctx, cancel := context.WithTimeout(context.Background(), screenshotLimit)
	defer cancel()
	file := filepath.Join(vm.machine.Keep, vm.machine.Name+"-failure.png")
	if vm.screendump(ctx, file) != nil { // no display, or QEMU has gone
		return ""
	}
	return file
}
