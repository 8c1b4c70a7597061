package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/terminal/terminaltest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

func TestBrowse(t *testing.T) {
	b := newBench(t)
	var list []snapshotJSON
	must(t, json.Unmarshal([]byte(b.expect(0, "", "browse", "--json")), &list))
	if len(list) != 3 || list[0].ID != b.snapshots["other"] || list[2].ID != b.snapshots["old"] {
		t.Errorf("snapshots: %+v", list)
	}
	b.expect(0, "2026-11-20 18:30  demo", "browse")
	if out := b.expect(0, "notes", "browse", "newest", "/home/alice"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "Documents/") || !strings.Contains(out, "caf\uFFFD\n") {
		t.Errorf("a directory:\n%s", out)
	}
	b.expect(0, `{"name":"letter","type":"file","size":5,`, "browse", "--json", "newest", "home/alice/Documents")
	b.expect(0, `{"name":"caf\ufffd","type":"file","size":11,`, "browse", "--json", "newest", "home/alice")
	b.expect(int(fault.Input), "expected a directory", "browse", "newest", "/home/alice/notes")
	b.expect(int(firstboot.CodeNoSnapshot), "no snapshot abcd", "browse", "abcd")

	to := filepath.Join(b.dir, "got")
	c := terminaltest.New(t)
	wait := b.at(c, "browse", "newest", "/home")
	for _, say := range [][2]string{
		{":/home> ", "cd none"}, {"is not in snapshot", "ls"}, {"alice/", "cd alice"}, {":/home/alice> ", "get Documents"}, {"expected PATH to DIR", "get 'Documents' to \"" + to + "\""},
		{"has 2 files", "cd .."}, {":/home> ", "exit"},
	} {
		c.See(say[0])
		c.Press(say[1] + "\n")
	}
	if code := wait(); code != 0 || text(t, filepath.Join(to, "home/alice/Documents/letter")) != "dear\n" {
		t.Errorf("code %d:\n%s", code, c.All())
	}
}

func TestCopy(t *testing.T) {
	b := newBench(t)
	target := b.empty("target.img", 300<<20)
	command(t, "mkfs.btrfs", "-q", "--label", "target", target)
	at := []string{"--image", target}
	b.expect(0, "", append(at, "copy", "newest", "/home/alice", "--to", "LABEL=target:back", "--dry-run")...)
	b.expect(0, "LABEL=target:back has", append(at, "copy", "newest", "/home/alice/notes", "--to", "LABEL=target:back")...)
	b.expect(int(fault.Target), "is not empty", append(at, "copy", "newest", "/home/alice", "--to", "LABEL=target:back")...)
	b.expect(int(fault.Target), "name a directory whose parent", append(at, "copy", "newest", "/home/alice", "--to", "LABEL=target:none/back")...)
	b.expect(int(fault.Target), "no disk of this machine has it", append(at, "copy", "newest", "/home/alice", "--to", "LABEL=none:back")...)
	b.expect(int(fault.Target), "is the backup disk", append(at, "copy", "newest", "/home/alice", "--to", "LABEL=backup:back")...)
	b.expect(int(fault.Usage), "behind the colon", append(at, "copy", "newest", "/home/alice", "--to", "LABEL=target:")...)
	b.expect(int(fault.Usage), "no directory is named", "copy", "newest", "/home/alice")
	b.expect(int(fault.Usage), "/home/alice", "copy", "newest", "alice", "--to", "/tmp/x")
	b.expect(int(fault.Target), "subvolume @none is not there", "copy", "--from-snapshot", "@none", "file", "--to", filepath.Join(b.dir, "x"))
	to := filepath.Join(b.dir, "from home")
	b.expect(0, "has", "copy", "--from-snapshot", "@home", "user/file", "--to", to)
	if got := text(t, filepath.Join(to, "user/file")); got != "a file of the user" {
		t.Errorf("out of a subvolume: %q", got)
	}
	b.expect(int(fault.Usage), "no path is named", "copy", "--to", to)
	b.expect(int(fault.Usage), "no path of @home is named", "copy", "--from-snapshot", "@home", "--to", to)
	latin := filepath.Join(b.dir, "latin")
	b.expect(0, "will copy /home/alice/caf\uFFFD of snapshot", "copy", "newest", "/home/alice/caf\xe9", "--to", latin)
	if got := text(t, filepath.Join(latin, "home/alice/caf\xe9")); got != "of Latin-1\n" {
		t.Errorf("a name that is not UTF-8: %q", got)
	}
	b.expect(int(fault.Input), "/home/alice/caf\uFFFD: is not in snapshot", "copy", "newest", "/home/alice/caf\xe8", "--to", latin+"2")
	b.asked(to)
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	m, err := p.look(t.Context(), &where{images: []string{target}})
	must(t, err)
	place, err := m.Find("LABEL=target", "")
	must(t, err)
	dir, err := m.FileSystem(t.Context(), place, "target", true)
	must(t, err)
	if got := text(t, filepath.Join(dir, "back/home/alice/notes")); got != "new notes\n" {
		t.Errorf("on another disk: %q", got)
	}
	for i := len(p.after) - 1; i >= 0; i-- {
		must(t, p.after[i]())
	}
}

// asked copies by the answers of a person at a terminal, as the menu has it.
func (b *bench) asked(to string) {
	b.t.Helper()
	for _, tt := range []struct {
		args   []string
		say    [][2]string
		copied string
	}{
		{[]string{"copy", "newest"}, [][2]string{{"which path of the backup?", "/home/alice/notes"}, {"which directory?", to + "-asked"}, {"files and directories", ""}}, to + "-asked/home/alice/notes"},
		{[]string{"copy", "--from-snapshot", "@home"}, [][2]string{{"which path of @home?", "user/file"}, {"which directory?", to + "-file"}, {"files and directories", ""}}, to + "-file/user/file"},
	} {
		c := terminaltest.New(b.t)
		wait := b.at(c, tt.args...)
		for _, say := range tt.say {
			c.See(say[0])
			c.Press(say[1] + "\n")
		}
		if code := wait(); code != 0 || text(b.t, tt.copied) == "" {
			b.t.Errorf("%q: code %d:\n%s", tt.args, code, c.All())
		}
	}
}
