package boot

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// patience is how long a shell or a reboot waits for drivers and disks: one
// that hangs may be the reason for it.
const patience = 10 * time.Second

// rescue tells why a step failed and gives the console to a shell. It returns
// when the step is to be tried again.
func (m *machine) rescue(s step, err error) {
	m.log.printf(levelError, "%s: failed: %v", s.name, err)
	shell := findShell()
	say(message(report{
		step: s.name, err: err, cmdline: strings.TrimSpace(m.cmdline), shell: shell,
		devices: host{"/sys", "/dev"}.lines(grace), modules: m.loader.failures(), committed: errors.Is(err, errCommitted),
	}))
	if shell == "" || !runShell(shell) {
		stayOrReboot(m.cmd.Panic)
	}
	if errors.Is(err, errCommitted) {
		reboot()
	}
	say("mkimage-init: the shell ended, trying again: " + s.name + "\n")
}

// shellAsked is the shell of mkimage.shell, before anything of the root file
// system is touched. All modules are loaded for it: keyboards, disks.
func (m *machine) shellAsked() {
	m.loader.finish(patience)
	shell := findShell()
	if shell == "" {
		m.log.printf(levelWarning, "mkimage.shell: no shell in this initramfs, the boot goes on")
		return
	}
	say("\nmkimage-init: a shell, as mkimage.shell asks. Nothing of the disk is mounted yet.\n" +
		"  exit          continue the boot\n" + "  shutdown -r   reboot\n\n")
	if runShell(shell) {
		say("mkimage-init: the shell ended, the boot goes on\n")
	}
}

// lines returns a line for each block device, sorted by name. Those that do
// not answer within limit are named as such.
func (h host) lines(limit time.Duration) []string {
	names, err := h.names()
	if err != nil {
		return []string{err.Error()}
	}
	results := make(chan found, len(names)) // nobody takes a late answer
	silent := map[string]bool{}
	for _, name := range names {
		silent[name] = true
		go func() {
			d, err := h.identify(name)
			results <- found{name, d, err}
		}()
	}
	var lines []string
	late := time.After(limit)
	for len(silent) > 0 {
		select {
		case r := <-results:
			delete(silent, r.name)
			if r.err == nil && r.device.Size > 0 {
				lines = append(lines, r.device.String())
			}
		case <-late:
			for name := range silent {
				lines = append(lines, fmt.Sprintf("%-12s does not answer", Device{Name: name}.Path()))
			}
			silent = nil
		}
	}
	slices.Sort(lines)
	return lines
}

// report is what a failed boot tells.
type report struct {
	step, cmdline, shell string
	err                  error
	devices, modules     []string
	committed            bool // the initramfs is gone: there is no other try
}

// message is the report as a person reads it: the reason, what to do, what was
// seen, what to type.
func message(r report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nmkimage-init: the boot stopped at: %s\n  %v\n", r.step, r.err)
	if hint := fault.HintOf(r.err); hint != "" {
		fmt.Fprintf(&b, "  hint: %s\n", hint)
	}
	section(&b, "block devices", r.devices, "none")
	section(&b, "modules that failed", r.modules, "none")
	section(&b, "command line", []string{r.cmdline}, "")
	switch {
	case r.shell == "":
	case r.committed: // the shell is the system's, and so would be its shutdown
		section(&b, "type", []string{"exit          reboot"}, "")
	default:
		section(&b, "type", []string{
			"exit          try this step again, and go on with the boot",
			"dmesg         the kernel's messages",
			"shutdown -r   reboot",
		}, "")
	}
	b.WriteString("\n")
	return b.String()
}

func section(b *strings.Builder, title string, lines []string, none string) {
	fmt.Fprintf(b, "%s:\n", title)
	if len(lines) == 0 {
		lines = []string{none}
	}
	for _, l := range lines {
		fmt.Fprintf(b, "  %s\n", l)
	}
}
