package boot

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/initramfs/terminal"
)

// shells are what the rescue shell may be; the first that is there is used.
var shells = []string{"/bin/sh", "/bbin/gosh"}

// say writes a text on every console: a person may sit at any of them.
func say(text string) {
	text = strings.ReplaceAll(text, "\n", "\r\n")
	for _, node := range terminal.Consoles() {
		f, err := os.OpenFile(node, os.O_WRONLY|unix.O_NOCTTY, 0)
		if err != nil {
			continue
		}
		f.WriteString(text)
		f.Close()
	}
}

func findShell() string {
	for _, sh := range shells {
		if st, err := os.Stat(sh); err == nil && st.Mode().Perm()&0o111 != 0 {
			return sh
		}
	}
	return ""
}

// runShell starts the shell on every console and returns when the first of
// them has ended; the others are killed. Orphans are reaped meanwhile, as is
// PID 1's duty. It reports whether a shell could be started at all.
func runShell(shell string) bool {
	running := map[int]bool{}
	for _, node := range terminal.Consoles() {
		if pid, err := startShell(shell, node); err == nil {
			running[pid] = true
		}
	}
	if len(running) == 0 {
		return false
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || running[pid] {
			delete(running, pid)
			break
		}
	}
	for pid := range running {
		// The shell leads a session and a process group of its own.
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	return true
}

func startShell(shell, node string) (pid int, err error) {
	f, err := os.OpenFile(node, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	p, err := os.StartProcess(shell, []string{filepath.Base(shell)}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/bbin:/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", "TERM=" + terminal.Type(node)},
		Files: []*os.File{f, f, f},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true},
	})
	if err != nil {
		return 0, err
	}
	pid = p.Pid
	return pid, p.Release()
}

// stayOrReboot ends a boot that cannot go on: it reboots after so many seconds,
// at once when they are below 0, and waits for ever when they are 0.
func stayOrReboot(seconds int) {
	if seconds == 0 {
		say("mkimage-init: no shell in this initramfs; waiting: Ctrl-Alt-Del reboots\n")
		for {
			_ = unix.Pause()
		}
	}
	if seconds > 0 {
		say("mkimage-init: rebooting as panic= says\n")
		<-time.After(time.Duration(seconds) * time.Second)
	}
	reboot()
}

// reboot writes out what can be written: a disk that does not answer must not
// keep the machine from it.
func reboot() {
	within(patience, unix.Sync)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// within returns when f has ended or limit is over; then f goes on by itself.
func within(limit time.Duration, f func()) {
	ended := make(chan struct{})
	go func() {
		f()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(limit):
	}
}
