package decrypt

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Secrets of the tests.
var (
	restic = firstboot.Secret{Name: "restic", File: yamlFile, Format: "yaml", Key: "restic", Owner: "root", Mode: 0o400}
	psk    = firstboot.Secret{Name: "wifi-psk", File: yamlFile, Format: "yaml", Key: "wifi/home/psk", Owner: "bandit", Group: "wheel", Mode: 0o640}
	token  = firstboot.Secret{Name: "token", File: binaryFile, Format: "binary", Owner: "bandit", Mode: 0o444}
	whole  = firstboot.Secret{Name: "whole.yaml", File: yamlFile, Format: "yaml", Mode: 0o600}
	empty  = firstboot.Secret{Name: "empty", File: yamlFile, Format: "yaml", Key: "wifi/empty", Owner: "root", Mode: 0}
)

// with changes a copy of a secret.
func with(s firstboot.Secret, change func(s *firstboot.Secret)) firstboot.Secret {
	change(&s)
	return s
}

func at(s firstboot.Secret, path string) firstboot.Secret {
	return with(s, func(s *firstboot.Secret) { s.Path = path })
}

func TestInstall(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	m := newMachine(t, restic, psk, token, whole, empty)
	i := newInstaller(&m.c, m.key, m.dirs)
	decrypted := 0
	i.decrypt = func(data []byte, format secrets.Format, ids []age.Identity) (*secrets.Plain, error) {
		decrypted++
		return secrets.Decrypt(data, format, ids)
	}
	r, err := i.install()
	check(t, err)
	want := Report{Generation: 1, Names: []string{"restic", "wifi-psk", "token", "whole.yaml", "empty"}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if decrypted != 2 {
		t.Errorf("decrypted %d times; want once each of 2 files", decrypted)
	}
	m.wantGeneration(1)
	if got := m.list("/run/secrets"); !equal(got, []string{"empty", "restic", "token", "whole.yaml", "wifi-psk"}) {
		t.Errorf("/run/secrets has %q", got)
	}
	m.wantValue("/run/secrets/restic", "hunter2 of restic")
	m.wantValue("/run/secrets/wifi-psk", "hunter2 line\n")
	m.wantValue("/run/secrets/token", plainBinary)
	for name, mode := range map[string]fs.FileMode{
		"": fs.ModeDir | 0o751, "/restic": 0o400, "/wifi-psk": 0o640, "/token": 0o444, "/whole.yaml": 0o600, "/empty": 0,
	} {
		info, err := os.Stat(m.at("/run/secrets" + name))
		check(t, err)
		if info.Mode() != mode {
			t.Errorf("/run/secrets%s has mode %v; want %v", name, info.Mode(), mode)
		}
	}
	text, err := os.ReadFile(m.at("/run/secrets/whole.yaml"))
	check(t, err)
	for _, part := range []string{"restic: hunter2 of restic\n", "psk: |\n", "hunter2 line\n", "\"on\": true\n"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the whole file is %q; want %q in it", text, part)
		}
	}
	if strings.Contains(string(text), "sops") {
		t.Errorf("the whole file has the metadata of sops: %q", text)
	}
}

func TestOwners(t *testing.T) {
	imgtest.NeedRoot(t)
	m := newMachine(t,
		with(restic, func(s *firstboot.Secret) { s.Name = "a"; s.Owner = "bandit" }),
		with(restic, func(s *firstboot.Secret) { s.Name = "b"; s.Owner = "bandit"; s.Group = "wheel" }),
		with(restic, func(s *firstboot.Secret) { s.Name = "c"; s.Owner = "" }),
		with(restic, func(s *firstboot.Secret) { s.Name = "d"; s.Owner = "root"; s.Group = "last" }),
	)
	m.put(passwdFile, "root:x:0:0::/:\nbandit:x:1000:100::/:\n")
	m.put(groupFile, "wheel:x:998:\nlast:x:4294967294:\n")
	m.install()
	for name, want := range map[string]owner{"a": {1000, 100}, "b": {1000, 998}, "c": {0, 0}, "d": {0, 4294967294}} {
		info, err := os.Stat(m.at("/run/secrets/" + name))
		check(t, err)
		if st := info.Sys().(*syscall.Stat_t); (owner{st.Uid, st.Gid}) != want || info.Mode() != 0o400 {
			t.Errorf("%s is of %d:%d, mode %v; want %v, 0400", name, st.Uid, st.Gid, info.Mode(), want)
		}
	}
}

// TestRefused asks for what cannot be had, with another secret before it that
// can be: nothing is changed, at the first boot and later.
func TestRefused(t *testing.T) {
	change := func(f func(s *firstboot.Secret)) firstboot.Secret { return with(token, f) }
	tests := []struct {
		name    string
		s       firstboot.Secret
		code    firstboot.Code
		parts   []string
		prepare func(m *machine)
	}{
		{"no such user", change(func(s *firstboot.Secret) { s.Owner = "nobody-here" }), firstboot.CodeSecret, []string{"secret token: ", `"nobody-here"`, "/etc/passwd"}, nil},
		{"no such group", change(func(s *firstboot.Secret) { s.Group = "bandit" }), firstboot.CodeSecret, []string{"secret token: ", `group "bandit"`, "/etc/group"}, nil},
		{"no such key", change(func(s *firstboot.Secret) { s.Key, s.File, s.Format = "wifi/none", yamlFile, "yaml" }), firstboot.CodeSecret, []string{"secret token: " + yamlFile, "wifi/none"}, nil},
		{"a table", change(func(s *firstboot.Secret) { s.Key, s.File, s.Format = "wifi", yamlFile, "yaml" }), firstboot.CodeSecret, []string{"secret token: ", "a table"}, nil},
		{"no such file", change(func(s *firstboot.Secret) { s.File = "/etc/none" }), firstboot.CodeSecret, []string{"secret token: /etc/none: no such file"}, nil},
		{"a directory", change(func(s *firstboot.Secret) { s.File = "/etc" }), firstboot.CodeSecret, []string{"secret token: /etc: is a directory"}, nil},
		{"damaged", token, firstboot.CodeSecret, []string{"secret token: " + binaryFile}, func(m *machine) { m.spoil(binaryFile) }},
		{"for another key", token, firstboot.CodeOtherKey, []string{"secret token: " + binaryFile}, func(m *machine) { m.otherKey(binaryFile) }},
		{"no name", change(func(s *firstboot.Secret) { s.Name = "" }), firstboot.CodeSecret, []string{"expected the name of a file"}, nil},
		{"a name that leads out", change(func(s *firstboot.Secret) { s.Name = ".." }), firstboot.CodeSecret, []string{"secret ..: expected the name"}, nil},
		{"the directory", change(func(s *firstboot.Secret) { s.Name = "." }), firstboot.CodeSecret, []string{"expected the name"}, nil},
		{"a path for a name", change(func(s *firstboot.Secret) { s.Name = "a/b" }), firstboot.CodeSecret, []string{"expected the name"}, nil},
		{"a byte 0", change(func(s *firstboot.Secret) { s.Name = "a\x00" }), firstboot.CodeSecret, []string{"expected the name"}, nil},
		{"a name too long", change(func(s *firstboot.Secret) { s.Name = strings.Repeat("n", 256) }), firstboot.CodeSecret, []string{"file name too long"}, nil},
		{"twice", restic, firstboot.CodeSecret, []string{"secret restic: there are two"}, nil},
		{"mode", change(func(s *firstboot.Secret) { s.Mode = 0o1000 }), firstboot.CodeSecret, []string{"secret token: mode 1000"}, nil},
		{"a directory in place of the symlink", token, firstboot.CodeSecret, []string{"/run/secrets: not a symlink"}, func(m *machine) {
			check(m.t, os.RemoveAll(m.at("/run/secrets")))
			check(m.t, os.Mkdir(m.at("/run/secrets"), 0o755))
		}},
		{"no users", token, firstboot.CodeSecret, []string{"/etc/passwd: no such file"}, func(m *machine) { check(m.t, os.Remove(m.at(passwdFile))) }},
		{"no groups", token, firstboot.CodeSecret, []string{"/etc/group: no such file"}, func(m *machine) { check(m.t, os.Remove(m.at(groupFile))) }},
		{"no memory", token, firstboot.CodeSecret, []string{"no memory"}, func(m *machine) {
			m.dirs.Mount = func(string) (string, error) { return "", problem("", "no memory") }
		}},
	}
	for _, tt := range tests {
		for _, before := range []int{0, 1} {
			t.Run(tt.name, func(t *testing.T) {
				m := newMachine(t, restic)
				for range before {
					m.install()
				}
				check(t, os.MkdirAll(m.at("/run"), 0o755))
				if tt.prepare != nil {
					tt.prepare(m)
				}
				m.c.Secrets = []firstboot.Secret{at(restic, "/etc/restic/password"), tt.s}
				m.refuse(tt.code, tt.parts...)
				if info, err := os.Lstat(m.at("/run/secrets")); err == nil && info.IsDir() {
					return
				}
				m.wantGeneration(before)
				if before > 0 {
					m.wantValue("/run/secrets/restic", "hunter2 of restic")
				}
				if left := m.list("/etc/restic"); left != nil {
					t.Errorf("/etc/restic has %q", left)
				}
			})
		}
	}
}

// spoil changes a byte in the middle of an encrypted value.
func (m *machine) spoil(name string) {
	data, err := os.ReadFile(m.at(name))
	check(m.t, err)
	text := strings.Replace(string(data), "data:", "data:AAAA", 1)
	m.put(name, text)
}

// otherKey encrypts a file for somebody else.
func (m *machine) otherKey(name string) {
	id, err := age.GenerateX25519Identity()
	check(m.t, err)
	m.put(name, string(encrypt(m.t, binaryStore(), plainBinary, id.Recipient().String())))
}

// TestSwitch keeps files of an old generation open while it is replaced.
func TestSwitch(t *testing.T) {
	m := newMachine(t, restic, token)
	m.install()
	f, err := os.Open(m.at("/run/secrets/restic"))
	check(t, err)
	defer f.Close()
	dir, err := os.Open(m.at("/run/secrets"))
	check(t, err)
	defer dir.Close()
	m.put(yamlFile, string(encrypt(t, yamlStore(), "restic: hunter2 is new\n", m.key.Recipients()[0])))
	m.c.Secrets = m.c.Secrets[:1]
	if r := m.install(); r.Generation != 2 || !equal(r.Names, []string{"restic"}) || len(r.Notes) > 0 {
		t.Errorf("report %+v; want generation 2 of restic", r)
	}
	m.wantGeneration(2)
	m.wantValue("/run/secrets/restic", "hunter2 is new")
	if got, err := io.ReadAll(f); err != nil || string(got) != "hunter2 of restic" {
		t.Errorf("who has the old file open reads %q, %v", got, err)
	}
	if _, err := os.Lstat(m.at("/run/secrets/token")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the secret that is gone: %v; want none", err)
	}
}

// TestSwitchedLast sees from within a run that what is in use stays until the
// new generation is whole.
func TestSwitchedLast(t *testing.T) {
	m := newMachine(t, restic, token)
	m.install()
	m.c.Secrets = []firstboot.Secret{token, psk}
	i := newInstaller(&m.c, m.key, m.dirs)
	seen := 0
	i.decrypt = func(data []byte, format secrets.Format, ids []age.Identity) (*secrets.Plain, error) {
		seen++
		m.wantValue("/run/secrets/restic", "hunter2 of restic")
		m.wantValue("/run/secrets/token", plainBinary)
		return secrets.Decrypt(data, format, ids)
	}
	_, err := i.install()
	check(t, err)
	if seen != 2 {
		t.Errorf("looked %d times; want 2", seen)
	}
	m.wantGeneration(2)
}

// TestNumbers is about what killed runs and others left.
func TestNumbers(t *testing.T) {
	tests := []struct {
		name string
		link string // text of /run/secrets, below secrets.d; "" for none
		dirs []string
		want int
		left []string // beside the new one
	}{
		{"first", "", nil, 1, nil},
		{"next", "3", []string{"3"}, 4, nil},
		{"half a generation behind", "3", []string{"3", "4"}, 5, nil},
		{"an old one", "3", []string{"2", "3"}, 4, nil},
		{"a hole", "3", []string{"1", "3", "9"}, 10, nil},
		{"without a symlink", "", []string{"7"}, 8, nil},
		{"a symlink to nothing", "5", nil, 6, nil},
		{"a symlink to elsewhere", "../../elsewhere", []string{"2"}, 3, nil},
		{"what is not ours", "1", []string{"1", "01", "0", "-4", "x", "99999999999999999999", "2147483647"}, 2, []string{"-4", "0", "01", "2147483647", "99999999999999999999", "x"}},
		{"two digits", "9", []string{"9", "10", "3"}, 11, nil},
		{"not in its one form", "3", []string{"3", "07", "+8"}, 4, []string{"+8", "07"}},
		{"the last number", "1", []string{"1", "2147483646"}, 2147483647, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, restic)
			check(t, os.MkdirAll(m.at("/run/secrets.d"), 0o751))
			for _, d := range tt.dirs {
				m.put("/run/secrets.d/"+d+"/old", hidden)
			}
			if tt.link != "" {
				m.symlink(m.at("/run/secrets.d/"+tt.link), "/run/secrets")
			}
			m.symlink("nowhere", "/run/.secrets.new") // of a killed run
			r := m.install()
			if r.Generation != tt.want {
				t.Errorf("generation %d; want %d", r.Generation, tt.want)
			}
			m.wantValue("/run/secrets/restic", "hunter2 of restic")
			for _, name := range tt.left {
				check(t, os.RemoveAll(m.at("/run/secrets.d/"+name)))
			}
			m.wantGeneration(tt.want)
		})
	}
}

// TestHalfGone removes what a killed run left even when it fails itself.
func TestHalfGone(t *testing.T) {
	m := newMachine(t, restic)
	m.install()
	m.put("/run/secrets.d/2/restic", hidden)
	m.c.Secrets[0].Key = "none"
	m.refuse(firstboot.CodeSecret, "secret restic")
	m.wantGeneration(1)
}

// TestLockMounted mounts over a directory that is locked, as far as names go:
// what is there then is locked too.
func TestLockMounted(t *testing.T) {
	dir := t.TempDir() + "/d"
	check(t, os.Mkdir(dir, 0o700))
	lock, err := lockDir(dir)
	check(t, err)
	same, err := lockMounted(lock, dir)
	check(t, err)
	if same != lock {
		t.Error("a directory that is the same was locked again")
	}
	check(t, os.Rename(dir, dir+".below"))
	check(t, os.Mkdir(dir, 0o700))
	lock, err = lockMounted(lock, dir)
	check(t, err)
	defer lock.Close()
	f, err := os.Open(dir)
	check(t, err)
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
		t.Errorf("another locks it: %v; want %v", err, syscall.EWOULDBLOCK)
	}
}

// TestAtOnce lets several processes do it at the same time, as far as files go.
func TestAtOnce(t *testing.T) {
	m := newMachine(t, at(restic, "/etc/password"), token)
	var wait sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]bool{}
	for range 8 {
		wait.Go(func() {
			r, err := Install(&m.c, m.key, m.dirs)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(r.Notes) > 0 || seen[r.Generation] {
				t.Errorf("report %+v, %v; want a generation of its own", r, err)
			}
			seen[r.Generation] = true
		})
	}
	wait.Wait()
	m.wantGeneration(8)
	m.wantValue("/etc/password", "hunter2 of restic")
}

// TestNothing is a system without secrets any more.
func TestNothing(t *testing.T) {
	m := newMachine(t, at(restic, "/etc/password"))
	m.install()
	m.c.Secrets = nil
	r := m.install()
	if diff := cmp.Diff(Report{Generation: 2, Removed: []string{"/etc/password"}}, r); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	m.wantGeneration(2)
}

// TestOtherKey says which keys there are.
func TestOtherKey(t *testing.T) {
	m := newMachine(t, restic)
	id, err := age.GenerateX25519Identity()
	check(t, err)
	was := m.key.Recipients()[0]
	m.key, err = agekey.Parse([]byte(id.String()))
	check(t, err)
	m.refuse(firstboot.CodeOtherKey, "secret restic: "+yamlFile, was, id.Recipient().String())
}
