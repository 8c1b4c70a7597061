package inventory

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	espwriter "github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/mediumtest"
	"github.com/6FaNcY9/mkimage/profiles"
)

var monday = time.Date(2025, 3, 3, 12, 30, 0, 0, time.UTC)

// treeOf makes a tree of files, by their paths; a path that ends in a slash is a
// directory.
func treeOf(t testing.TB, files map[string]string) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for name, text := range files {
		parent, err := tree.MkdirAll(path.Dir(strings.TrimSuffix(name, "/")), nil)
		must(t, err)
		if strings.HasSuffix(name, "/") {
			_, err = tree.MkdirAll(strings.TrimSuffix(name, "/"), nil)
			must(t, err)
			continue
		}
		n := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(text)), Content: fstree.Bytes(text)}
		n.SetMTime(monday)
		_, err = parent.Add(path.Base(name), n)
		must(t, err)
	}
	tree.Freeze()
	return tree
}

const diskSize = 300 << 20

// disk makes a disk with one partition of a label, which fill writes.
func disk(t testing.TB, name, label string, fill func(f *os.File, p gpt.Partition)) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(diskSize))
	seed := ids.Seed{9}
	table, err := gpt.Place(gpt.Table{GUID: seed.UUID("disk"), SectorSize: 512, DiskSize: diskSize, Partitions: []gpt.Partition{{Type: plan.TypePayload, GUID: seed.UUID("1"), Label: label}}})
	must(t, err)
	must(t, gpt.Write(f, table))
	fill(f, table.Partitions[0])
	return name
}

// fatDisk is a disk with FAT32.
func fatDisk(t testing.TB, name, label string, files map[string]string) string {
	return disk(t, name, label, func(f *os.File, p gpt.Partition) {
		_, err := espwriter.Write(t.Context(), io.NewOffsetWriter(f, p.Start), treeOf(t, files), espwriter.Params{Size: p.Size, Start: p.Start, Label: "FAT", Serial: 0x12345678, Timestamp: monday})
		must(t, err)
	})
}

// repository are the files of one, below a directory.
func repository(dir string, key string) map[string]string {
	return map[string]string{
		dir + "/config": "x", dir + "/data/00/": "", dir + "/index/": "", dir + "/locks/": "", dir + "/keys/k1": key,
		dir + "/snapshots/aa": "x", dir + "/snapshots/bb": "x",
	}
}

const goodKey = `{"created":"2024-01-02T03:04:05.6+01:00","username":"root","hostname":"fox","kdf":"scrypt","N":32768,"r":8,"p":3,"salt":"c2FsdA==","data":"ZGF0YQ=="}`

// backupDisk is a disk with btrfs and a repository.
func backupDisk(t testing.TB, key string) string {
	return disk(t, "backup.img", "", func(f *os.File, p gpt.Partition) {
		_, err := btrfs.Write(t.Context(), io.NewOffsetWriter(f, p.Start), treeOf(t, repository("restic/fox", key)), btrfs.Params{Size: p.Size, Label: "backup", Seed: ids.Seed{8}})
		must(t, err)
	})
}

// hostOf is a plan that names a disk for its backups.
func hostOf(restore string, backups ...profiles.Backup) *plan.Plan {
	return &plan.Plan{Profile: profiles.Profile{Name: "fox", Hostname: "fox", Restore: profiles.Restore{Disk: restore}, Backup: backups}}
}

func TestBackup(t *testing.T) {
	name := backupDisk(t, goodKey)
	place := Place{Disk: name, Number: 1, Start: 1 << 20, Size: diskSize - 2<<20, PARTUUID: ids.Seed{9}.UUID("1").String()}
	opened := &Contents{Version: 2, Snapshots: []Snapshot{{ID: "aa", Time: monday, Host: "fox", Paths: []string{"/home"}}}}
	want := []Backup{{
		Place: place, Type: "btrfs", Label: "backup", UUID: ids.Seed{8}.UUID(ids.BtrfsFSID).String(), Wanted: []string{"restore", "backup usb"},
		Repositories: []Repository{{
			Path: "restic/fox", Files: 2, Newest: monday, Opened: opened,
			Keys: []RepositoryKey{{Host: "fox", User: "root", Created: time.Date(2024, 1, 2, 2, 4, 5, 600_000_000, time.UTC)}},
		}},
	}}
	host := hostOf("LABEL=backup", profiles.Backup{Name: "usb", Disk: "UUID=" + want[0].UUID}, profiles.Backup{Name: "server"}, profiles.Backup{Name: "other", Disk: "LABEL=other"})
	inv := take(t, Options{Plan: host, Open: func(_ context.Context, b Backup, r Repository) (*Contents, error) {
		if b.Label != "backup" || r.Path != "restic/fox" {
			t.Errorf("asked for %s on %s", r.Path, b.Label)
		}
		return opened, nil
	}}, name)
	if diff := cmp.Diff(want, inv.Backups); diff != "" {
		t.Errorf("backups (-want +got):\n%s", diff)
	}
	if got := texts(inv); got != "note LABEL=other: the disk for backup other is not here\n" || len(inv.Systems) > 0 {
		t.Errorf("%d systems, problems:\n%s", len(inv.Systems), got)
	}
}

// TestBackupOfOthers: a repository on FAT32, and a disk that only the profile knows.
func TestBackupOfOthers(t *testing.T) {
	ext4 := disk(t, "ext4.img", "", func(f *os.File, p gpt.Partition) {
		super := make([]byte, 1024)
		copy(super[0x38:], "\x53\xef")
		copy(super[0x78:], "vault")
		super[0x4] = 1     // blocks
		super[0x60] = 0x40 // extents: ext4
		_, err := f.WriteAt(super, p.Start+1024)
		must(t, err)
	})
	inv := take(t, Options{Plan: hostOf("LABEL=vault")}, fatDisk(t, "fat.img", "", repository("r", goodKey)), ext4)
	if len(inv.Backups) != 2 || inv.Backups[0].Type != "vfat" || inv.Backups[0].Repositories[0].Files != 2 || inv.Backups[0].Wanted != nil {
		t.Errorf("backups: %+v", inv.Backups)
	}
	if b := inv.Backups[1]; b.Type != "ext4" || b.Label != "vault" || len(b.Repositories) > 0 || !slices.Equal(b.Wanted, []string{"restore"}) {
		t.Errorf("backup that the profile names: %+v", b)
	}
}

func TestBackupRefused(t *testing.T) {
	refuse := errors.New("wrong password")
	inv := take(t, Options{Open: func(context.Context, Backup, Repository) (*Contents, error) { return nil, refuse }}, backupDisk(t, goodKey))
	if got := inv.Backups[0].Repositories[0].Problem; got != "wrong password" || !strings.Contains(texts(inv), "repository restic/fox: wrong password") {
		t.Errorf("problem %q of:\n%s", got, texts(inv))
	}
}

func TestParseKey(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"as restic has it", goodKey, ""},
		{"no JSON", "x", "invalid character"},
		{"another document", `{"hostname":"fox"}`, "names no way from a password to a key"},
		{"wrong time", `{"created":"today","kdf":"scrypt"}`, "parsing time"},
	} {
		inv := take(t, Options{}, backupDisk(t, tt.in))
		if got := inv.Backups[0].Repositories[0].Problem; tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: problem %q; want %q", tt.name, got, tt.want)
		}
	}
}

// TestKeyLimit has keys of a repository of as many bytes as may be, and of one more.
func TestKeyLimit(t *testing.T) {
	for n, ok := range map[int]bool{maxKey - 1: true, maxKey: true, maxKey + 1: false} {
		key := goodKey + strings.Repeat(" ", n-len(goodKey))
		inv := take(t, Options{}, backupDisk(t, key))
		if r := inv.Backups[0].Repositories[0]; (len(r.Keys) == 1) != ok || (r.Problem == "") != ok {
			t.Errorf("%d bytes: %+v", n, r)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(goodKey))
	f.Add([]byte(`{"kdf":"scrypt"}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseKey(data)
		if err == nil && (strings.Contains(k.Host, "\n") && len(k.Host) > maxLine) {
			t.Errorf("host of %d bytes", len(k.Host))
		}
	})
}

func TestKeyMedium(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	must(t, err)
	secret := identity.String()
	const encrypted = "age-encryption.org/v1\n-> scrypt c2FsdA 18\n"
	for _, tt := range []struct {
		name, label string
		files       map[string]string
		want        KeyMedium
		none        bool
	}{
		{"plain", config.KeyLabel, map[string]string{config.KeyFile: secret + "\n"}, KeyMedium{File: config.KeyFile, Recipients: []string{identity.Recipient().String()}}, false},
		{"encrypted", config.KeyLabel, map[string]string{config.KeyFileEncrypted: encrypted}, KeyMedium{File: config.KeyFileEncrypted, Encrypted: true}, false},
		{"no key", config.KeyLabel, map[string]string{"x": ""}, KeyMedium{Problem: "there is no age-key.txt in its top directory"}, false},
		{"no key in the file", config.KeyLabel, map[string]string{config.KeyFile: "AGE-SECRET-KEY-1X\n"}, KeyMedium{File: config.KeyFile, Problem: "line 1: a secret key with a mistake: "}, false},
		{"another label", "other", map[string]string{config.KeyFile: secret + "\n"}, KeyMedium{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := fatDisk(t, "keys.img", tt.label, tt.files)
			inv := take(t, Options{}, name)
			if tt.none {
				if len(inv.KeyMedia) > 0 {
					t.Errorf("got %+v; want none", inv.KeyMedia)
				}
				return
			}
			if len(inv.KeyMedia) != 1 {
				t.Fatalf("key media: %+v; want one", inv.KeyMedia)
			}
			got := inv.KeyMedia[0]
			if got.Disk != name || got.Number != 1 {
				t.Errorf("place %s", got.Place)
			}
			got.Place = Place{}
			if strings.HasPrefix(got.Problem, tt.want.Problem) && tt.want.Problem != "" {
				got.Problem = tt.want.Problem
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var b strings.Builder
			must(t, Text(&b, inv, 80))
			if strings.Contains(b.String(), secret) {
				t.Error("the text has the secret key")
			}
		})
	}
}

// TestMedium: an installer medium says which machine is meant, and its payload is nobody's
// system.
func TestMedium(t *testing.T) {
	imgtest.NeedSystem(t)
	m := mediumtest.Write(t, filepath.Join(t.TempDir(), "medium.img"), nil)
	inv := take(t, Options{}, m.Name)
	want := []Medium{{Disk: m.Name, Profile: "bandit-installer", Payload: "bandit-full", Hostname: "bandit", Made: mediumtest.Plan(t).Epoch}}
	if diff := cmp.Diff(want, inv.Media); diff != "" {
		t.Errorf("media (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&Host{Hostname: "bandit", Profile: "bandit-full", Layout: "btrfs-laptop"}, inv.Host); diff != "" {
		t.Errorf("host (-want +got):\n%s", diff)
	}
	if len(inv.Systems) != 0 || len(inv.Problems) != 0 {
		t.Errorf("systems %+v, problems:\n%s", inv.Systems, texts(inv))
	}
}
