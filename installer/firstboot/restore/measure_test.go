package restore

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// resticProgram is the one that is put into images; make programs builds it.
const resticProgram = "../../../.cache/programs/restic"

// ours runs it with a repository.
func ours(t testing.TB, repo string, args ...string) string {
	t.Helper()
	b, err := testBackup()
	must(t, err)
	cmd := exec.Command(resticProgram, append([]string{"--repo=" + repo, "--password-file=" + b.password, "--no-cache", "--quiet"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("restic %q: %v", args, err)
	}
	return string(out)
}

// backUpAgain adds the newest snapshot, of paths beside the home, too. It is made by our
// own restic: that of the others may be too old to count what is in one.
func backUpAgain(t testing.TB, paths ...string) func(repo string) {
	return func(repo string) {
		b, err := testBackup()
		must(t, err)
		ours(t, repo, append([]string{"backup", "--host=" + testHost, "--time=2036-01-02 03:04:05", b.home}, paths...)...)
	}
}

// newest returns the snapshot that a run restores.
func (m *machine) newest() repository.Snapshot {
	m.t.Helper()
	dir := m.t.TempDir()
	m.command("mount", "--read-only", m.device, dir)
	defer m.command("umount", dir)
	repo := repository.Repository{Dir: filepath.Join(dir, m.c.Restore.Repository), PasswordFile: m.backup.password}
	s, err := repo.Newest(m.t.Context(), repository.Filter{Host: testHost, Path: m.backup.home})
	must(m.t, err)
	return s
}

// A snapshot is measured, which takes long, only where what it says of itself is not
// enough. The numbers are the same in the end.
func TestMeasured(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, resticProgram)
	other := filepath.Join(t.TempDir(), "of another path")
	must(t, os.WriteFile(other, nil, 0o600), os.Truncate(other, 400<<20))
	var pins []*pin
	for _, tt := range []struct {
		name   string
		change func(repo string)
		size   int64
		want   firstboot.Code
	}{
		{"large disk", backUpAgain(t), 2 << 30, 0},
		{"not counted", nil, 2 << 30, 0},
		{"says too much", backUpAgain(t, other), 600 << 20, 0},
		{"small disk", backUpAgain(t, other), 300 << 20, firstboot.CodeSpace},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.change)
			m.mount.Unmount(t)
			m.makeSystem(tt.size)
			m.plug(m.device)
			snapshot := m.newest()
			m.s.cut = func(after string) error {
				if after != "made staging" {
					return nil
				}
				// What a snapshot counts are files alone, not directories.
				if p := m.pinned(); (p.Files == snapshot.Files) != snapshot.Counted {
					t.Errorf("%d files were to be restored, of a snapshot that has counted %d: %t", p.Files, snapshot.Files, snapshot.Counted)
				}
				return nil
			}
			if err := m.run(tt.want); err != nil {
				need, most := int64(0), (snapshot.Bytes-300<<20+leastMargin)>>20
				_, text, _ := strings.Cut(err.Error(), " needs ")
				if _, err := fmt.Sscan(text, &need); err != nil || need == 0 || need > most {
					t.Errorf("%s: needs %d MiB, expected at most %d", text, need, most)
				}
				return
			}
			m.same("README", "alice", "bob", "carol")
			pins = append(pins, m.pinned())
		})
	}
	for _, p := range pins {
		if p.Bytes != pins[0].Bytes || p.Files != pins[0].Files || p.Files == 0 {
			t.Errorf("%d bytes in %d files; want %d in %d", p.Bytes, p.Files, pins[0].Bytes, pins[0].Files)
		}
	}
}

// What cannot be measured whole is restored all the same: of a damaged snapshot as much
// as can be read is brought home, before the disk dies altogether.
func TestMeasureDamaged(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, resticProgram)
	m := newMachine(t, func(repo string) { damageTree(t, repo, "alice") })
	err := m.run(firstboot.CodeDamaged)
	if !strings.Contains(err.Error(), "restored was not: /alice") {
		t.Errorf("%v: does not name alice", err)
	}
	m.sameAt("bob", filepath.Join(m.staging(), "bob"))
	m.plug(m.makeDisk(nil))
	m.run(0)
	m.same("README", "alice", "bob", "carol")
}

// damageTree changes a byte of what the newest snapshot says of a directory at its top.
func damageTree(t testing.TB, repo, dir string) {
	t.Helper()
	b, err := testBackup()
	must(t, err)
	var top struct {
		Nodes []struct{ Name, Subtree string }
	}
	must(t, json.Unmarshal([]byte(ours(t, repo, "cat", "tree", b.id+":"+b.home)), &top))
	for _, id := range strings.Fields(ours(t, repo, "list", "index")) {
		var index struct {
			Packs []struct {
				ID    string
				Blobs []struct {
					ID     string
					Offset int64
				}
			}
		}
		must(t, json.Unmarshal([]byte(ours(t, repo, "cat", "index", id)), &index))
		for _, pack := range index.Packs {
			for _, blob := range pack.Blobs {
				for _, n := range top.Nodes {
					if n.Name == dir && n.Subtree == blob.ID {
						damage(t, filepath.Join(repo, "data", pack.ID[:2], pack.ID), blob.Offset)
						return
					}
				}
			}
		}
	}
	t.Fatalf("no tree of %s is in an index", dir)
}

// damage changes the byte of a file at an offset.
func damage(t testing.TB, name string, at int64) {
	t.Helper()
	must(t, os.Chmod(name, 0o600))
	text, err := os.ReadFile(name)
	must(t, err)
	text[at] ^= 1
	must(t, os.WriteFile(name, text, 0o600))
}
