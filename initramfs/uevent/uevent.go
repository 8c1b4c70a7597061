// Package uevent reads what the kernel announces of devices: messages of
// NETLINK_KOBJECT_UEVENT. It needs no udev, and knows nothing of udev's own.
package uevent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Event is what the kernel says about one device, as far as it is used here.
type Event struct {
	Action    string // "add", "change", "remove"
	Subsystem string
	DevName   string // below /dev
	Modalias  string // what a driver knows the device by, "" for what needs none
}

// Parse reads one message of NETLINK_KOBJECT_UEVENT: ACTION@DEVPATH and
// KEY=VALUE pairs, each ended by a NUL (lib/kobject_uevent.c of Linux).
func Parse(b []byte) (Event, error) {
	fields := bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0})
	action, path, ok := strings.Cut(string(fields[0]), "@")
	if !ok || action == "" || !strings.HasPrefix(path, "/") {
		return Event{}, fmt.Errorf("uevent %q: expected ACTION@DEVPATH", fields[0])
	}
	u := Event{Action: action}
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(string(f), "=")
		switch key {
		case "SUBSYSTEM":
			u.Subsystem = value
		case "DEVNAME":
			u.DevName = strings.TrimPrefix(value, "/dev/")
		case "MODALIAS":
			u.Modalias = value
		}
	}
	return u, nil
}

// ErrLost says that the kernel dropped messages: everything has to be looked
// at again.
var ErrLost = errors.New("uevents were lost")

// Listener is a socket on which the kernel announces devices.
type Listener struct{ file *os.File }

// Listen opens the socket. What happens from now on is announced on it.
func Listen() (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("socket of uevents: %w", err)
	}
	// Loading forty modules makes a few hundred messages at once. Without
	// privilege the default size stays, and what is lost is looked up.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("socket of uevents: %w", err)
	}
	return &Listener{os.NewFile(uintptr(fd), "uevents")}, nil
}

// Next waits for the next message of the kernel that can be read. It returns
// ErrLost when some were dropped, and another error once the socket is closed.
func (u *Listener) Next() (Event, error) {
	conn, err := u.file.SyscallConn()
	if err != nil {
		return Event{}, err
	}
	buf := make([]byte, 16<<10)
	for {
		var n int
		var from unix.Sockaddr
		var got error
		err := conn.Read(func(fd uintptr) bool {
			n, from, got = unix.Recvfrom(int(fd), buf, 0)
			return got != unix.EAGAIN && got != unix.EINTR
		})
		switch {
		case err != nil:
			return Event{}, err
		case got == unix.ENOBUFS:
			return Event{}, ErrLost
		case got != nil:
			return Event{}, fmt.Errorf("socket of uevents: %w", got)
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue
		}
		if ev, err := Parse(buf[:n]); err == nil {
			return ev, nil
		}
	}
}

// Close ends Next.
func (u *Listener) Close() { u.file.Close() }
