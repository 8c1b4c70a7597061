package source

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// keyring holds the keys that Debian's archives are signed with.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// subordinateIDs is how many user and group ids an ordinary user must have for
// the owners in a system: mmdebstrap asks for as many.
const subordinateIDs = 65536

// host answers what the installation of packages needs to know of the machine.
// It is what tests replace.
type host struct {
	uid      int
	user     func() (name string, err error)
	have     func(program string) bool
	exists   func(path string) bool
	readFile func(path string) ([]byte, error)
	unshare  func(ctx context.Context) error // starts a program in a user namespace of its own
}

func thisHost() host {
	return host{
		uid: os.Geteuid(),
		user: func() (string, error) {
			u, err := user.Current()
			if err != nil {
				return "", err
			}
			return u.Username, nil
		},
		have:     func(program string) bool { _, err := exec.LookPath(program); return err == nil },
		exists:   func(path string) bool { _, err := os.Stat(path); return err == nil },
		readFile: os.ReadFile,
		unshare:  func(ctx context.Context) error { return exec.CommandContext(ctx, "unshare", "--user", "true").Run() },
	}
}

// mode returns the mode in which mmdebstrap works for the user, or says what to
// install or to enable. Errors are of class fault.Input.
func (h host) mode(ctx context.Context) (string, error) {
	for _, p := range []string{"mmdebstrap", "apt-get", "dpkg"} {
		if !h.have(p) {
			return "", fault.New(fault.Input, "install the package mmdebstrap: apt install mmdebstrap",
				"debian source: needs the program %s, which is not there", p)
		}
	}
	if !h.exists(keyring) {
		return "", fault.New(fault.Input, "install the package debian-archive-keyring: apt install debian-archive-keyring",
			"debian source: needs the keys in %s, which is not there", keyring)
	}
	if h.uid == 0 {
		return "root", nil
	}
	return "unshare", h.rootless(ctx)
}

// rootless says what an ordinary user lacks.
func (h host) rootless(ctx context.Context) error {
	for _, p := range []string{"newuidmap", "newgidmap"} {
		if !h.have(p) {
			return fault.New(fault.Input, "install the package uidmap (apt install uidmap), or run as root",
				"debian source: an ordinary user needs the program %s, which is not there", p)
		}
	}
	name, err := h.user()
	if err != nil {
		return fault.New(fault.Input, "run as a user that has a name, or as root", "debian source: %w", err)
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		data, err := h.readFile(file)
		if err != nil {
			data = nil
		}
		if n := subordinate(data, name, h.uid); n < subordinateIDs {
			return fault.New(fault.Input, "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "+name+"; or run as root",
				"debian source: %s: user %s has %d ids, needs %d", file, name, n, subordinateIDs)
		}
	}
	if err := h.unshare(ctx); err != nil {
		return fault.New(fault.Input, "as root: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000, and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; in a container allow user namespaces; or run as root",
			"debian source: an ordinary user needs user namespaces, which the kernel refuses: %w", err)
	}
	return nil
}

// subordinate returns the size of the largest range that a file in the form of
// subuid(5) gives a user, by name or by number.
func subordinate(data []byte, name string, uid int) int64 {
	var most int64
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		f := strings.Split(lines.Text(), ":")
		if len(f) != 3 || f[0] != name && f[0] != strconv.Itoa(uid) {
			continue
		}
		if n, err := strconv.ParseInt(f[2], 10, 64); err == nil {
			most = max(most, n)
		}
	}
	return most
}
