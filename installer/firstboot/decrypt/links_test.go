package decrypt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// TestPath is about what may be at the path of a secret.
func TestPath(t *testing.T) {
	const name = "/etc/wireguard/deep/key"
	tests := []struct {
		name    string
		path    string
		before  func(m *machine)
		refused string // part of the error
	}{
		{"nothing", name, func(*machine) {}, ""},
		{"at the top", "/key", func(*machine) {}, ""},
		{"in run", "/run/other", func(*machine) {}, ""},
		{"like the directory", "/run/secrets.data", func(*machine) {}, ""},
		{"a symlink to elsewhere", name, func(m *machine) { m.symlink("/etc/passwd", name) }, ""},
		{"a symlink to nothing", name, func(m *machine) { m.symlink("nothing", name) }, ""},
		{"of a killed run", name, func(m *machine) { m.symlink(m.at("/run/secrets/restic"), "/etc/wireguard/deep/.key.mkimage-new") }, ""},
		{"a file", name, func(m *machine) { m.put(name, "precious") }, "is a file"},
		{"an empty file", name, func(m *machine) { m.put(name, "") }, "is a file"},
		{"a directory", name, func(m *machine) { check(m.t, os.MkdirAll(m.at(name), 0o755)) }, "is a directory"},
		{"a fifo", "/etc/fifo", func(m *machine) { check(m.t, syscall.Mkfifo(m.at("/etc/fifo"), 0o600)) }, "neither a file nor a symlink"},
		{"a file beside it", name, func(m *machine) { m.put("/etc/wireguard/deep/.key.mkimage-new", "precious") }, ".key.mkimage-new is a file"},
		{"below a file", "/etc/passwd/key", func(*machine) {}, "not a directory"},
		{"relative", "etc/key", func(*machine) {}, "expected an absolute one"},
		{"upwards", "/etc/../key", func(*machine) {}, "expected an absolute one"},
		{"the root", "/", func(*machine) {}, "expected an absolute one"},
		{"a byte 0", "/etc/a\x00b", func(*machine) {}, "expected an absolute one"},
		{"the secrets", "/run/secrets", func(*machine) {}, "where the secrets themselves are"},
		{"a secret", "/run/secrets/other", func(*machine) {}, "where the secrets themselves are"},
		{"the generations", "/run/secrets.d/1/x", func(*machine) {}, "where the secrets themselves are"},
		{"name too long", "/etc/" + strings.Repeat("n", 250), func(*machine) {}, "file name too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, token, at(restic, tt.path))
			tt.before(m)
			before := tree(t, m.at("/etc"))
			if tt.refused != "" {
				m.refuse(firstboot.CodeSecret, "secret restic: path ", tt.refused)
				m.wantGeneration(0)
				if diff := cmp.Diff(before, tree(t, m.at("/etc"))); diff != "" {
					t.Errorf("/etc has changed (-before +after):\n%s", diff)
				}
				return
			}
			m.install()
			if text, err := os.Readlink(m.at(tt.path)); err != nil || text != m.at("/run/secrets/restic") {
				t.Errorf("%s leads to %q, %v", tt.path, text, err)
			}
			m.wantValue(tt.path, "hunter2 of restic")
			if _, err := os.Lstat(temporary(m.at(tt.path))); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left: %v", temporary(tt.path), err)
			}
		})
	}
}

// tree lists names and what is there.
func tree(t *testing.T, dir string) (lines []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := path + " " + info.Mode().String()
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(text)
		}
		lines = append(lines, line)
		return nil
	}))
	return lines
}

func TestParents(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	m := newMachine(t, at(restic, "/srv/a/b/key"))
	check(t, os.Mkdir(m.at("/srv"), 0o700))
	m.install()
	for name, want := range map[string]fs.FileMode{"/srv": 0o700, "/srv/a": 0o755, "/srv/a/b": 0o755} {
		info, err := os.Stat(m.at(name))
		check(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o; want %o", name, info.Mode().Perm(), want)
		}
	}
}

// TestSameLink leaves a symlink alone that is right.
func TestSameLink(t *testing.T) {
	m := newMachine(t, at(restic, "/etc/key"))
	m.install()
	before, err := os.Lstat(m.at("/etc/key"))
	check(t, err)
	m.install()
	after, err := os.Lstat(m.at("/etc/key"))
	check(t, err)
	if !os.SameFile(before, after) {
		t.Error("a symlink that was right was made anew")
	}
}

func TestTwoSecretsOnePath(t *testing.T) {
	m := newMachine(t, at(restic, "/etc/key"), at(token, "/etc/key"))
	m.refuse(firstboot.CodeSecret, "secret token: path /etc/key is that of another secret too")
	m.c.Secrets = []firstboot.Secret{restic, token} // no path is no path
	m.install()
}

// TestGone removes symlinks of secrets that are gone, with a reboot between or
// without, and nothing else.
func TestGone(t *testing.T) {
	for _, reboot := range []bool{false, true} {
		m := newMachine(t, at(restic, "/etc/a"), at(token, "/etc/b"), at(psk, "/etc/c"), at(whole, "/etc/d"), at(empty, "/etc/e"))
		m.install()
		if reboot {
			check(t, os.RemoveAll(m.at("/run")))
		}
		for _, name := range []string{"/etc/c", "/etc/d", "/etc/e"} {
			check(t, os.Remove(m.at(name)))
		}
		m.put("/etc/c", "precious")
		m.symlink("/etc/passwd", "/etc/d")
		m.c.Secrets = []firstboot.Secret{at(restic, "/etc/new")}
		r := m.install()
		if diff := cmp.Diff([]string{"/etc/a", "/etc/b"}, r.Removed); diff != "" {
			t.Errorf("reboot %v: removed (-want +got):\n%s", reboot, diff)
		}
		if len(r.Notes) > 0 {
			t.Errorf("notes %q; want none", r.Notes)
		}
		if got := m.list("/etc"); !equal(got, []string{"c", "d", "group", "mkimage", "new", "passwd"}) {
			t.Errorf("reboot %v: /etc has %q", reboot, got)
		}
		m.wantValue("/etc/c", "precious")
		m.wantValue(recordPath, "{\n\t\"version\": 1,\n\t\"links\": [\n\t\t\"/etc/new\"\n\t]\n}\n")
		if r := m.install(); r.Removed != nil {
			t.Errorf("removed again: %q", r.Removed)
		}
	}
}

// TestLinkLost makes something appear at a path after it was looked at.
func TestLinkLost(t *testing.T) {
	m := newMachine(t, at(restic, "/etc/a"), at(token, "/etc/b"))
	i := newInstaller(&m.c, m.key, m.dirs)
	_, err := i.check()
	check(t, err)
	l := &links{installer: i}
	m.put(recordPath, `{"version":1,"links":["/etc/old"]}`)
	check(t, l.stage())
	// Known before they are there: after a power cut nothing is forgotten.
	m.wantValue(recordPath, "{\n\t\"version\": 1,\n\t\"links\": [\n\t\t\"/etc/a\",\n\t\t\"/etc/b\",\n\t\t\"/etc/old\"\n\t]\n}\n")
	m.put("/etc/a", "precious")
	wantProblem(t, l.commit(), firstboot.CodeSecret, "secret restic: path /etc/a", "is a file")
	m.wantValue("/etc/a", "precious")
	if text, err := os.Readlink(m.at("/etc/b")); err != nil || text != m.at("/run/secrets/token") {
		t.Errorf("the other symlink leads to %q, %v", text, err)
	}
	if got := m.list("/etc"); !equal(got, []string{"a", "b", "group", "mkimage", "passwd"}) {
		t.Errorf("/etc has %q", got)
	}
}

// TestUnstaged fails after a symlink is made: below one that leads to nothing no
// folder can be made.
func TestUnstaged(t *testing.T) {
	m := newMachine(t, restic)
	m.install()
	m.symlink("nothing", "/etc/dangling")
	m.c.Secrets = []firstboot.Secret{at(restic, "/etc/a"), at(token, "/etc/dangling/b")}
	m.refuse(firstboot.CodeSecret, "secret token: path /etc/dangling/b: ", "a symlink to what is not there")
	m.wantGeneration(1)
	if got := m.list("/etc"); !equal(got, []string{"dangling", "group", "mkimage", "passwd"}) {
		t.Errorf("/etc has %q", got)
	}
	m.c.Secrets = m.c.Secrets[:1]
	m.install()
	m.wantValue("/etc/a", "hunter2 of restic")
}

// TestRecordDamaged goes on without a record, and says so.
func TestRecordDamaged(t *testing.T) {
	m := newMachine(t, at(restic, "/etc/a"))
	m.put(recordPath, "{")
	r := m.install()
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], recordPath) {
		t.Errorf("notes %q; want one of %s", r.Notes, recordPath)
	}
	if r := m.install(); len(r.Notes) > 0 {
		t.Errorf("notes %q; want none", r.Notes)
	}
	check(t, os.RemoveAll(m.at(firstboot.StateDir)))
	m.put(firstboot.StateDir, "a file")
	if r := m.install(); len(r.Notes) == 0 || r.Generation != 3 {
		t.Errorf("report %+v; want a generation, and that nothing is recorded", r)
	}
}

func TestParseRecord(t *testing.T) {
	pad := strings.Repeat(" ", maxRecord)
	const good = `{"version":1,"links":["/etc/a","/b"]}`
	for text, want := range map[string]string{
		good: "", `{"version":1}`: "",
		good + pad[len(good):]:                "",
		good + pad[len(good)-1:]:              "larger than",
		`{"version":2}`:                       "version 2",
		`{"version":1,"links":["etc/a"]}`:     "expected an absolute",
		`{"version":1,"links":["/etc/../a"]}`: "expected an absolute",
		`{"version":1,"links":"/a"}`:          "cannot unmarshal",
		"":                                    "unexpected end",
	} {
		_, err := parseRecord([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("parseRecord(%.60q…): %v; want %q", text, err, want)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"links":["/etc/a","/b"]}`))
	f.Add([]byte(`{"version":1,"links":["/etc/../a"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		paths, err := parseRecord(text)
		if err != nil && paths != nil {
			t.Errorf("%q beside %v", paths, err)
		}
		for _, p := range paths {
			if !strings.HasPrefix(p, "/") || strings.Contains(p+"/", "/../") {
				t.Errorf("path %q", p)
			}
		}
	})
}
