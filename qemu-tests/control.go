package qemutests

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// Execute runs a command of QMP. Arguments and result are JSON structures; nil
// means none. One that meets a restart of the machine fails.
func (vm *VM) Execute(ctx context.Context, command string, arguments, result any) error {
	return vm.fail(vm.current().qmp.execute(ctx, command, arguments, result))
}

// WaitEvent waits for the first event of one of these names that no earlier
// call has looked at; those before it count as looked at.
func (vm *VM) WaitEvent(ctx context.Context, names ...string) (Event, error) {
	e, err := vm.events.wait(ctx, names...)
	return e, vm.fail(err)
}

// Status returns the state of the machine, such as "running" or "shutdown".
func (vm *VM) Status(ctx context.Context) (string, error) {
	var status struct {
		Status string `json:"status"`
	}
	err := vm.Execute(ctx, "query-status", nil, &status)
	return status.Status, err
}

// Screenshot writes what the display shows into file, as PNG.
func (vm *VM) Screenshot(ctx context.Context, file string) error {
	return vm.fail(vm.screendump(ctx, file))
}

func (vm *VM) screendump(ctx context.Context, file string) error {
	if vm.machine.Display == NoDisplay {
		return errors.New("screenshot: the machine has no display")
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	return vm.current().qmp.execute(ctx, "screendump", struct {
		Filename string `json:"filename"`
		Format   string `json:"format"`
	}{abs, "png"}, nil)
}

// key is one of send-key: a QKeyCode.
type key struct {
	Type string `json:"type"`
	Data string `json:"data"`
}

// Keys presses keys one after the other, by their QKeyCode, such as "down",
// "ret" or "a".
func (vm *VM) Keys(ctx context.Context, codes ...string) error {
	for _, code := range codes {
		err := vm.Execute(ctx, "send-key", struct {
			Keys []key `json:"keys"`
		}{[]key{{"qcode", code}}}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// Expect waits for a match on the serial console, see Console.Expect.
func (vm *VM) Expect(ctx context.Context, pattern string) ([]string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	match, err := vm.Console.Expect(ctx, re)
	return match, vm.fail(err)
}

// pressAgain is after how long PowerDown presses the button once more.
const pressAgain = 20 * time.Second

// PowerDown presses the power button and waits until the machine is off. It
// presses again as a person would: a guest ignores the button until its driver
// and what listens to it have found each other.
func (vm *VM) PowerDown(ctx context.Context) error {
	again := time.NewTicker(pressAgain)
	defer again.Stop()
	for {
		pressed := vm.Execute(ctx, "system_powerdown", nil, nil)
		select {
		case <-vm.exited: // also just before it was pressed again
			return vm.Wait(ctx)
		case <-ctx.Done():
			return errors.Join(pressed, vm.Wait(ctx))
		case <-again.C:
		}
		if pressed != nil {
			return pressed
		}
	}
}

// Reset presses the reset button: the guest is not asked, its disks keep what
// it wrote. It returns when the machine starts again.
func (vm *VM) Reset(ctx context.Context) error {
	vm.events.forget()
	if err := vm.Execute(ctx, "system_reset", nil, nil); err != nil {
		return err
	}
	_, err := vm.WaitEvent(ctx, resetEvent)
	return err
}

// Reboot has the guest restart itself and returns when the machine starts
// again.
func (vm *VM) Reboot(ctx context.Context) error {
	if err := vm.WaitAgent(ctx); err != nil {
		return err
	}
	vm.events.forget()
	if _, err := vm.agent.run(ctx, "systemctl reboot"); err != nil && !errors.Is(err, errGuestDown) {
		return vm.fail(fmt.Errorf("reboot: %w", err))
	}
	_, err := vm.WaitEvent(ctx, resetEvent)
	return err
}

// Quit ends QEMU, which completes what the guest wrote.
func (vm *VM) Quit(ctx context.Context) error {
	if err := vm.Execute(ctx, "quit", nil, nil); err != nil {
		return err
	}
	return vm.Wait(ctx)
}

// forwardLine is one of "info usernet" (QEMU, net/slirp.c and libslirp): a port of the host
// that leads to one of the guest.
var forwardLine = regexp.MustCompile(`(?m)^\s*TCP\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)\s`)

// Forwarded returns the address at which the host reaches a port of Config.Forward.
func (vm *VM) Forwarded(ctx context.Context, port int) (string, error) {
	var text string
	if err := vm.Execute(ctx, "human-monitor-command", map[string]string{"command-line": "info usernet"}, &text); err != nil {
		return "", err
	}
	for _, m := range forwardLine.FindAllStringSubmatch(text, -1) {
		if m[3] == strconv.Itoa(port) {
			return net.JoinHostPort(m[1], m[2]), nil
		}
	}
	return "", vm.fail(fmt.Errorf("port %d: is not forwarded", port))
}

// blockNode is what blockdev-add takes for an image file.
type blockNode struct {
	Driver   string    `json:"driver"`
	Name     string    `json:"node-name"`
	ReadOnly bool      `json:"read-only"`
	File     blockFile `json:"file"`
}

type blockFile struct {
	Driver string `json:"driver"`
	Name   string `json:"filename"`
}

// Attach plugs a disk in while the machine runs; its bus must be USB. The
// guest writes into the image itself, if it may. A restart of the machine pulls it out.
func (vm *VM) Attach(ctx context.Context, name string, d Disk) error {
	d.Format = cmp.Or(d.Format, "raw")
	if d.Bus != USB {
		return vm.fail(fmt.Errorf("disk %s: bus %q, expected %q for one that is plugged in", name, d.Bus, USB))
	}
	file, err := filepath.Abs(d.File)
	if err != nil {
		return err
	}
	if err := vm.Execute(ctx, "blockdev-add", blockNode{d.Format, name, d.ReadOnly, blockFile{"file", file}}, nil); err != nil {
		return err
	}
	device := map[string]string{"driver": "usb-storage", "bus": "xhci.0", "id": "dev-" + name, "drive": name}
	if d.Serial != "" {
		device["serial"] = d.Serial
	}
	return vm.Execute(ctx, "device_add", device, nil)
}

// Detach pulls a disk out that Attach plugged in.
func (vm *VM) Detach(ctx context.Context, name string) error {
	vm.events.forget()
	if err := vm.Execute(ctx, "device_del", map[string]string{"id": "dev-" + name}, nil); err != nil {
		return err
	}
	for {
		e, err := vm.WaitEvent(ctx, "DEVICE_DELETED")
		if err != nil {
			return err
		}
		var deleted struct {
			Device string `json:"device"`
		}
		if json.Unmarshal(e.Data, &deleted) == nil && deleted.Device == "dev-"+name {
			return vm.Execute(ctx, "blockdev-del", map[string]string{"node-name": name}, nil)
		}
	}
}
