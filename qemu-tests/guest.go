package qemutests

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// systemdStarts is what systemd prints first (and the kernel in front of it).
// Something must follow the number: lines arrive in pieces.
var systemdStarts = regexp.MustCompile(`systemd\[1\]: systemd (\d+)[^\d]`)

// panics is the last that a kernel prints.
var panics = regexp.MustCompile(`Kernel panic - not syncing: .*`)

// WaitAgent waits until the test agent runs in the guest. It gives up at once
// when the console shows that the kernel panicked, or a systemd that knows no
// units from credentials.
func (vm *VM) WaitAgent(ctx context.Context) error {
	if !vm.machine.Agent {
		return vm.fail(fmt.Errorf("test agent: the machine was started without it"))
	}
	for {
		more := vm.Console.changed()
		if err := vm.hopeless(); err != nil {
			return vm.fail(err)
		}
		select {
		case <-vm.agent.available():
			return nil
		case <-more:
		case <-vm.exited:
			return vm.fail(fmt.Errorf("test agent: %w", errGone))
		case <-ctx.Done():
			return vm.fail(fmt.Errorf("test agent: did not answer: %w", ctx.Err()))
		}
	}
}

// hopeless returns why the agent will not come, by what the console shows.
func (vm *VM) hopeless() error {
	if p := vm.Console.Seen(panics); p != nil {
		return fmt.Errorf("test agent: %s", p[0])
	}
	v := vm.Console.Seen(systemdStarts)
	if v == nil || vm.machine.OldAgent {
		return nil
	}
	if n, err := strconv.Atoi(v[1]); err == nil && n < agentSystemd {
		return fault.New(fault.Input, "take a source with a newer systemd, or drive the machine by its console",
			"test agent: the image has systemd %d, expected at least %d", n, agentSystemd)
	}
	return nil
}

// Run runs a script in /bin/sh as root in the guest, when the test agent is
// there. A script that fails is no error; a guest that restarts under it is.
// Scripts run one at a time.
func (vm *VM) Run(ctx context.Context, script string) (Result, error) {
	if err := vm.WaitAgent(ctx); err != nil {
		return Result{}, err
	}
	r, err := vm.agent.run(ctx, script)
	if err != nil {
		return r, vm.fail(fmt.Errorf("script %q: %w", firstLine(script), err))
	}
	return r, nil
}

// Output runs a script that must succeed and returns what it prints, without
// the last line's end.
func (vm *VM) Output(ctx context.Context, script string) (string, error) {
	r, err := vm.Run(ctx, script)
	if err != nil {
		return "", err
	}
	if r.Status != 0 {
		return "", fmt.Errorf("script %q: exit status %d: %s", firstLine(script), r.Status, strings.TrimSpace(r.Stderr))
	}
	return strings.TrimRight(r.Stdout, "\n"), nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// oneShotVariable is the EFI variable that names the boot menu's entry for the
// next boot alone. (Boot Loader Interface.)
const oneShotVariable = "/sys/firmware/efi/efivars/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// BootOnce chooses the entry of the boot menu that the next boot takes, by its
// file's name, such as "mkimage-factory.conf". It needs systemd-boot.
func (vm *VM) BootOnce(ctx context.Context, entry string) error {
	content := base64.StdEncoding.EncodeToString(efiString(entry))
	_, err := vm.Output(ctx, fmt.Sprintf(`mountpoint -q /sys/firmware/efi/efivars || mount -t efivarfs efivarfs /sys/firmware/efi/efivars
echo %s | base64 -d >/run/mkimage-test/oneshot &&
cat /run/mkimage-test/oneshot >%s`, content, oneShotVariable))
	return err
}

// BootOnceGRUB chooses the entry that the next boot takes by its ID, as grub-reboot
// does, which not every system has: in GRUB's block of variables on the ESP, that is
// mounted at a path.
func (vm *VM) BootOnceGRUB(ctx context.Context, esp, id string) error {
	_, err := vm.Output(ctx, fmt.Sprintf(`{ printf '# GRUB Environment Block\nnext_entry=%%s\n' %s; head -c 1024 /dev/zero | tr '\0' '#'; } | head -c 1024 >%s/grub/grubenv && sync`, id, esp))
	return err
}

// efiString returns what efivarfs takes for a text: the attributes of a
// variable that stays and that the system may change, and UTF-16 with its end.
func efiString(s string) []byte {
	const attributes = 1 | 2 | 4 // non-volatile, boot service access, runtime access
	b := binary.LittleEndian.AppendUint32(nil, attributes)
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}
