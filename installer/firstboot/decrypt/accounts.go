package decrypt

import (
	"cmp"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Where a system has its users and groups: passwd(5), group(5). Those that only
// a server knows are not there yet when secrets are decrypted.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// owner is whose a file is.
type owner struct{ uid, gid uint32 }

// accounts are the users, with their first groups, and the groups of a system.
type accounts struct {
	users  map[string]owner
	groups map[string]uint32
}

// accounts reads those of the system.
func (i *installer) accounts() (a accounts, err error) {
	passwd, err := os.ReadFile(i.in(passwdFile))
	if err != nil {
		return a, problem("", "%s: %w", passwdFile, bare(err))
	}
	group, err := os.ReadFile(i.in(groupFile))
	if err != nil {
		return a, problem("", "%s: %w", groupFile, bare(err))
	}
	return accounts{parsePasswd(string(passwd)), parseGroup(string(group))}, nil
}

// parsePasswd returns the users of a passwd file. A line that is no user's is
// passed over, and of two of one name the first counts, as in the C library.
func parsePasswd(text string) map[string]owner {
	users := map[string]owner{}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 4 || !isName(f[0]) {
			continue
		}
		uid, ok1 := parseID(f[2])
		gid, ok2 := parseID(f[3])
		if _, known := users[f[0]]; ok1 && ok2 && !known {
			users[f[0]] = owner{uid, gid}
		}
	}
	return users
}

// parseGroup returns the groups of a group file, as parsePasswd does.
func parseGroup(text string) map[string]uint32 {
	groups := map[string]uint32{}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 3 || !isName(f[0]) {
			continue
		}
		gid, ok := parseID(f[2])
		if _, known := groups[f[0]]; ok && !known {
			groups[f[0]] = gid
		}
	}
	return groups
}

// isName reports whether a name is not a comment nor one that stands for the
// users of a server.
func isName(name string) bool { return name != "" && !strings.ContainsRune("#+-", rune(name[0])) }

// parseID reads a number. The largest stands for no user: chown(2) would change
// nothing.
func parseID(text string) (uint32, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && n != math.MaxUint32
}

// makeAccount is the hint for an account that is not there.
const makeAccount = "name one that is there, or make it: mkimage-firstboot secrets then decrypts them"

// owner returns whose a secret becomes.
func (a accounts) owner(s firstboot.Secret) (owner, error) {
	user := cmp.Or(s.Owner, "root")
	o, ok := a.users[user]
	if !ok {
		return o, problem(makeAccount, "owner %q: no such user in %s", user, passwdFile)
	}
	if s.Group == "" {
		return o, nil
	}
	if o.gid, ok = a.groups[s.Group]; !ok {
		return o, problem(makeAccount, "group %q: no such group in %s", s.Group, groupFile)
	}
	return o, nil
}
