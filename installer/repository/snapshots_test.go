package repository

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// Snapshots are listed by host and path, the oldest first, without those that are
// damaged.
func TestSnapshots(t *testing.T) {
	imgtest.Need(t, oursProgram)
	m, err := making{program: oursProgram, fill: tiny, backup: []string{"--host=fox", "--time=2020-02-03 04:05:06"}}.make(t.TempDir())
	must(t, err)
	fox := m.id
	must(t, m.backup("--host=owl", "--time=2019-01-01 00:00:00"))
	owl := m.id
	must(t, m.backup("--host=fox", "--time=2018-01-01 00:00:00", filepath.Join(m.home, "a")))
	old := m.id
	var told []string
	repo := m.repository()
	repo.Unreadable = func(line string) { told = append(told, line) }
	check := func(name string, f Filter, want ...string) {
		t.Helper()
		list, err := repo.Snapshots(t.Context(), f)
		must(t, err)
		var got []string
		for _, s := range list {
			got = append(got, s.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	check("all", Filter{}, old, owl, fox)
	check("of a host", Filter{Host: "fox"}, old, fox)
	check("of a path", Filter{Path: m.home + "/a"}, old)
	check("of both", Filter{Host: "owl", Path: m.home}, owl)
	check("of nobody", Filter{Host: "cat"})
	check("of no path", Filter{Path: m.home + "/"})
	list, err := repo.Snapshots(t.Context(), Filter{Host: "owl"})
	must(t, err)
	if s := list[0]; s.Time.Year() != 2019 || s.Host != "owl" || cmp.Diff([]string{m.home}, s.Paths) != "" || !s.Counted || s.Files != 1 || s.Bytes != 4 {
		t.Errorf("%+v", s)
	}
	if len(told) > 0 {
		t.Errorf("told of %q", told)
	}
	cut := func(id string) error {
		name := filepath.Join(m.repo, "snapshots", id)
		return firstError(os.Chmod(name, 0o600), os.Truncate(name, 40))
	}
	must(t, cut(owl))
	check("one is damaged", Filter{}, old, fox)
	if len(told) != 1 || !strings.HasPrefix(told[0], "repository fox: a snapshot is left out: snapshots/"+owl) {
		t.Errorf("told of %q", told)
	}
	must(t, cut(fox), cut(old))
	if _, err := repo.Snapshots(t.Context(), Filter{}); firstboot.CodeOf(err) != firstboot.CodeDamaged {
		t.Errorf("all are damaged: %v", err)
	}
	must(t, removeAll(m.repo, "snapshots/*"))
	check("none", Filter{})
	if _, err := repo.Newest(t.Context(), Filter{Host: "fox", Path: "/home"}); firstboot.CodeOf(err) != firstboot.CodeNoSnapshot || !strings.HasSuffix(err.Error(), "no snapshot of fox:/home: it is empty") {
		t.Errorf("Newest of none: %v", err)
	}
}

// What a snapshot has is found by its path, and listed by name.
func TestLookup(t *testing.T) {
	m := wholeRepository(t)
	repo := m.repository()
	for at, want := range map[string]string{
		"": "dir", "/": "dir", m.home: "dir", m.home + "/bob/d/": "dir", m.home + "/alice/big": "file", m.home + "/alice/not \xff\xfe UTF-8": "file",
		m.home + "/alice/link": "symlink", m.home + "/alice/link/x": "", m.home + "/nobody": "", "/nobody/at all": "",
	} {
		n, err := repo.Lookup(t.Context(), m.id, at)
		must(t, err)
		if got := typeOf(n); got != want {
			t.Errorf("%q: %q, expected %q", at, got, want)
		}
	}
	dir, err := repo.Lookup(t.Context(), m.id, m.home+"/bob")
	must(t, err)
	var got []string
	must(t, repo.List(t.Context(), dir, func(n *reader.Node) error {
		if n.Type == "file" || n.Type == "dir" {
			got = append(got, n.Name)
		}
		return nil
	}))
	if diff := cmp.Diff([]string{"d", "second name", "third name", "\xff"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stop := errors.New("stop")
	if err := repo.List(t.Context(), dir, func(*reader.Node) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, expected %v", err, stop)
	}
	ctx, end := context.WithCancelCause(t.Context())
	if err := repo.List(ctx, dir, func(*reader.Node) error { end(stop); return nil }); !errors.Is(err, stop) {
		t.Errorf("%v, expected %v", err, stop)
	}
	if _, err := repo.Lookup(t.Context(), strings.Repeat("ab", 32), "/"); firstboot.CodeOf(err) != firstboot.CodeNoSnapshot {
		t.Errorf("of no snapshot: %v", err)
	}
}

func typeOf(n *reader.Node) string {
	if n == nil {
		return ""
	}
	return n.Type
}
