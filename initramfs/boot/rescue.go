package boot

import (
	"errors"
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// rescue tells why a step failed and gives the console to a shell. It returns
// when the step is to be tried again.
func (m *machine) rescue(s step, err error) {
	m.log.printf(levelError, "%s: failed: %v", s.name, err)
	shell := findShell()
	say(message(report{
		step: s.name, err: err, cmdline: strings.TrimSpace(m.cmdline), shell: shell,
		devices: m.deviceLines(), modules: m.loader.failures(),
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
	m.loader.finish()
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

func (m *machine) deviceLines() []string {
	h := host{"/sys", "/dev"}
	names, err := h.names()
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, name := range names {
		if d, err := h.identify(name); err == nil && d.Size > 0 {
			lines = append(lines, d.String())
		}
	}
	return lines
}

// report is what a failed boot tells.
type report struct {
	step, cmdline, shell string
	err                  error
	devices, modules     []string
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
	if r.shell != "" {
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
