package adjust

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/profiles"
)

// locked is the hash that no password has.
const locked = "!"

// userFiles are the files that know of users.
type userFiles struct{ passwd, group, shadow, gshadow *accounts }

// users adds the profile's users and locks the password of root.
func (e *editor) users() error {
	f, err := e.openUserFiles()
	if err != nil {
		return err
	}
	e.lockRoot(f)
	for i := range e.plan.Profile.Users {
		if err := e.user(f, &e.plan.Profile.Users[i], strict.Index("users", i)); err != nil {
			return err
		}
	}
	for _, a := range []*accounts{f.passwd, f.group, f.shadow, f.gshadow} {
		if a.there || a != f.gshadow {
			if err := e.store(a); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *editor) openUserFiles() (*userFiles, error) {
	var f userFiles
	for _, a := range []struct {
		into **accounts
		path string
		mode uint32
	}{{&f.passwd, "/etc/passwd", 0o644}, {&f.group, "/etc/group", 0o644}, {&f.shadow, "/etc/shadow", 0o600}, {&f.gshadow, "/etc/gshadow", 0o600}} {
		var err error
		if *a.into, err = e.accounts(a.path, a.mode); err != nil {
			return nil, err
		}
	}
	return &f, nil
}

// lockRoot leaves root no password, wherever the source keeps it: a hash in
// passwd(5), or none there, counts unless the field is "x".
func (e *editor) lockRoot(f *userFiles) {
	f.passwd.set("root", fieldSecret, "x")
	if r := f.shadow.find("root"); len(r) > fieldSecret {
		r[fieldSecret] = locked
		return
	}
	f.shadow.replace(e.shadowRecord("root", locked)...)
}

// shadowRecord returns a record of shadow(5) whose password was set on the day
// of the plan's epoch, with the limits that Debian gives a new user.
func (e *editor) shadowRecord(name, hash string) []string {
	day := strconv.FormatInt(e.plan.Epoch.Unix()/(24*60*60), 10)
	return []string{name, hash, day, "0", "99999", "7", "", "", ""}
}

// user adds one user with a group of the same name and id, a home made of
// /etc/skel, and keys.
func (e *editor) user(f *userFiles, u *profiles.User, key string) error {
	hash := e.hash(u, key)
	home := path.Join("/home", u.Name)
	if !e.admissible(f, u, key) {
		return nil
	}
	id := idText(u.UID)
	f.passwd.append(u.Name, "x", id, id, u.Gecos, home, u.Shell)
	if f.group.find(u.Name) == nil {
		f.group.append(u.Name, "x", id, "")
		f.gshadow.replace(u.Name, locked, "", "")
	}
	for _, g := range u.Groups {
		f.group.join(g, u.Name)
		f.gshadow.join(g, u.Name)
	}
	f.shadow.replace(e.shadowRecord(u.Name, hash)...)
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if err := e.subordinate(file, u.Name); err != nil {
			return err
		}
	}
	if err := e.home(home, u.UID); err != nil {
		return err
	}
	return e.sshKeys(u, home, u.UID)
}

// hash returns the hash of a user's password.
func (e *editor) hash(u *profiles.User, key string) string {
	if u.PasswordFile == "" {
		return locked
	}
	hash := e.in.Passwords[u.Name]
	if hash == "" || strings.ContainsAny(hash, ":\n \t") {
		e.Add(key+".password_file", "%s: expected one crypt(5) hash, such as mkpasswd makes", u.PasswordFile)
	}
	return hash
}

// admissible notes what keeps a user from being added to the source.
func (e *editor) admissible(f *userFiles, u *profiles.User, key string) bool {
	ok := true
	refuse := func(key, format string, args ...any) {
		ok = false
		e.Add(key, format, args...)
	}
	if strings.ContainsAny(u.Name+u.Gecos+u.Shell, ":\n") {
		refuse(key, "%q: a colon or a line end does not fit in /etc/passwd", u.Name)
	}
	if r := f.passwd.find(u.Name); r != nil {
		refuse(key+".name", "%s: the source has this user", u.Name)
	} else if other := f.passwd.owner(u.UID); other != "" {
		refuse(key+".uid", "%d: is of %s in the source", u.UID, other)
	}
	if r := f.group.find(u.Name); len(r) > fieldID && r[fieldID] != idText(u.UID) {
		refuse(key+".uid", "%d: the source's group %s has the id %s", u.UID, u.Name, r[fieldID])
	} else if other := f.group.owner(u.UID); other != "" && other != u.Name {
		refuse(key+".uid", "%d: is of the group %s in the source", u.UID, other)
	}
	for i, g := range u.Groups {
		if f.group.find(g) == nil {
			refuse(strict.Index(key+".groups", i), "%s: the source has no such group%s", g, strict.DidYouMean(g, f.group.names()))
		}
	}
	if shell := e.find(u.Shell); shell == nil || !shell.IsRegular() {
		refuse(key+".shell", "%s: is not in the source", u.Shell)
	}
	return ok
}

// Ranges of subordinate ids, as useradd(8) gives them.
const (
	firstSubordinate = 100000
	subordinates     = 65536
)

// subordinate adds a range of subordinate ids behind those that are given, to
// a source that has the file.
func (e *editor) subordinate(file, user string) error {
	a, err := e.accounts(file, 0o644)
	if err != nil || !a.there {
		return err
	}
	next := uint64(firstSubordinate)
	for _, r := range a.records {
		if len(r) < 3 {
			continue
		}
		start, err1 := strconv.ParseUint(r[1], 10, 32)
		count, err2 := strconv.ParseUint(r[2], 10, 32)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("%s: record %q: expected NAME:START:COUNT", file, strings.Join(r, ":"))
		}
		next = max(next, start+count)
	}
	a.append(user, strconv.FormatUint(next, 10), strconv.Itoa(subordinates))
	return e.store(a)
}

const (
	skel     = "/etc/skel"
	homeMode = 0o700
)

// home makes a home directory of /etc/skel. One that the source has stays as
// it is.
func (e *editor) home(p string, id uint32) error {
	if e.lookup(p) != nil {
		return nil
	}
	dir, err := e.mkdir(path.Dir(p))
	if err != nil {
		return err
	}
	inode := e.inode(fstree.TypeDir | homeMode)
	inode.UID, inode.GID = id, id
	home, err := dir.Add(path.Base(p), inode)
	if err != nil {
		return err
	}
	return copyOwned(home, e.find(skel), id)
}

// copyOwned copies what is in a directory, with another owner. Names that are
// hard links of each other become files of their own.
func copyOwned(to, from *fstree.Entry, id uint32) error {
	if from == nil {
		return nil
	}
	for _, c := range from.Children() {
		inode := &fstree.Inode{
			Mode: c.Mode, UID: id, GID: id, Sec: c.Sec, Nsec: c.Nsec, Size: c.Size, Link: c.Link, Rdev: c.Rdev,
			Xattrs: c.Xattrs, Content: c.Content,
		}
		copied, err := to.Add(c.Name, inode)
		if err != nil {
			return err
		}
		if err := copyOwned(copied, c, id); err != nil {
			return err
		}
	}
	return nil
}

// sshKeys writes the keys that may log in as a user.
func (e *editor) sshKeys(u *profiles.User, home string, id uint32) error {
	if len(u.SSHKeys) == 0 {
		return nil
	}
	dir, err := e.mkdir(path.Join(home, ".ssh"))
	if err != nil {
		return err
	}
	dir.Mode, dir.UID, dir.GID = fstree.TypeDir|0o700, id, id
	file := path.Join(home, ".ssh", "authorized_keys")
	if err := e.write(file, strings.Join(u.SSHKeys, "\n")+"\n", 0o600); err != nil {
		return err
	}
	keys := e.find(file)
	keys.Mode, keys.UID, keys.GID = fstree.TypeRegular|0o600, id, id
	return nil
}
