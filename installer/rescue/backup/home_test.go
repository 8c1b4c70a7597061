package backup

import (
	"context"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// system makes a system whose home the snapshots have, and that says so itself.
func (o *opened) system(t testing.TB, had *firstboot.Restore) string {
	t.Helper()
	imgtest.NeedRoot(t)
	image := filepath.Join(t.TempDir(), "system.img")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 1<<30))
	command(t, "mkfs.btrfs", "-q", image)
	root := imgtest.Mount(t, image)
	must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, o.home)), 0o755))
	command(t, "btrfs", "subvolume", "create", filepath.Join(root, o.home))
	config, err := json.Marshal(firstboot.Config{Version: firstboot.ConfigVersion, Image: "fox-1", Restore: had})
	must(t, err)
	write(t, filepath.Join(root, firstboot.ConfigPath), string(config))
	return root
}

// A home comes back, however often: as it was, from another snapshot, and beside
// what is there.
func TestHome(t *testing.T) {
	o := open(t)
	root := o.system(t, &firstboot.Restore{Host: "fox", Path: o.home, Homes: []firstboot.Home{{Path: o.home + "/dave", UID: 1003, GID: 1003}}})
	home := filepath.Join(root, o.home)
	var done, total int64
	ask := HomeRequest{Root: root, Progress: func(d, t int64) { done, total = d, t }}
	got := o.homeIs(ask, "new", "new notes\n")
	if len(got.Beside) != 0 || got.Path != o.home || done != total || total == 0 {
		t.Errorf("Home: %+v, progress %d of %d", got, done, total)
	}
	o.same("bob", filepath.Join(home, "bob"))
	if info, err := os.Stat(filepath.Join(home, "dave")); err != nil || owner(info) != 1003 {
		t.Errorf("dave, who has a home in the configuration: %v", err)
	}
	state, err := firstboot.ReadState(durable.OS(root))
	must(t, err)
	if !state.Done(firstboot.StepRestore) {
		t.Error("the first boot would restore it again")
	}

	// It is lost after it was restored once.
	must(t, os.RemoveAll(filepath.Join(home, "alice")))
	o.homeIs(ask, "new", "new notes\n")

	// Somebody has changed something, and asks for an older one.
	write(t, filepath.Join(home, "alice/notes"), "mine\n")
	ask.Snapshot = o.ids["old"]
	for range 2 { // a second time it lies there already
		got = o.homeIs(ask, "old", "mine\n")
		beside := path.Join(o.home, ".restored-"+o.ids["old"][:8])
		if len(got.Beside) != 1 || got.Beside[0].Dir != beside || got.Beside[0].Kept || strings.Join(got.Beside[0].Names, " ") != "alice" {
			t.Fatalf("Home: %+v, expected alice in %s", got, beside)
		}
		if got := text(t, filepath.Join(root, beside, "alice/notes")); got != "old notes\n" {
			t.Errorf("notes beside: %q", got)
		}
		if got := names(t, filepath.Join(root, beside)); got != "alice" {
			t.Errorf("%s: is beside, expected alice", got)
		}
	}
}

// homeIs restores a home and fails unless alice's notes are those.
func (o *opened) homeIs(ask HomeRequest, snapshot, notes string) HomeReport {
	o.t.Helper()
	got, err := o.Home(context.Background(), ask)
	must(o.t, err)
	if got.Snapshot != o.ids[snapshot] {
		o.t.Errorf("snapshot %.8s, expected %s", got.Snapshot, snapshot)
	}
	if got := text(o.t, filepath.Join(ask.Root, o.home, "alice/notes")); got != notes {
		o.t.Errorf("notes: %q, expected %q", got, notes)
	}
	return got
}

// What the system itself never restored comes from the host that is named.
func TestHomeOfOther(t *testing.T) {
	o := open(t)
	root := o.system(t, nil)
	ask := HomeRequest{Root: root, Path: o.home}
	if _, err := o.Home(context.Background(), ask); fault.ClassOf(err) != fault.Usage || !strings.Contains(err.Error(), "does not say whose backup") {
		t.Errorf("Home of no host: %v", err)
	}
	ask.Host = "wolf"
	o.homeIs(ask, "other", "of the wolf\n")
	ask.Host = "bear"
	if _, err := o.Home(context.Background(), ask); firstboot.CodeOf(err) != firstboot.CodeNoSnapshot || !strings.Contains(err.Error(), "fox:"+o.home) {
		t.Errorf("Home of bear: %v, expected what there is", err)
	}
	ask = HomeRequest{Root: root, Path: "/srv", Snapshot: o.ids["new"]}
	if _, err := o.Home(context.Background(), ask); firstboot.CodeOf(err) != firstboot.CodeNoSnapshot || !strings.Contains(err.Error(), "has nothing of /srv, but of "+o.home) {
		t.Errorf("Home of /srv: %v", err)
	}
}

func TestHomeRefused(t *testing.T) {
	o := open(t)
	tests := []struct {
		name   string
		change func(root string)
		ask    HomeRequest
		class  fault.Class
		want   string
	}{
		{"symlink", func(root string) { must(t, os.Symlink("/tmp", filepath.Join(root, "home"))) }, HomeRequest{}, fault.Target, "/home: is a symlink, or below one"},
		{"below a symlink", func(root string) { must(t, os.Symlink("/tmp", filepath.Join(root, "home"))) }, HomeRequest{Path: "/home/x"}, fault.Target, "is a symlink, or below one"},
		{"a file", func(root string) { write(t, filepath.Join(root, "home"), "") }, HomeRequest{}, fault.Target, "/home: not a directory"},
		{"everything", func(string) {}, HomeRequest{Path: "/home/.."}, fault.Usage, "is the whole system"},
		{"configuration", func(root string) { write(t, filepath.Join(root, firstboot.ConfigPath), "{") }, HomeRequest{}, fault.Config, "unexpected end of JSON"},
		{"no system", func(root string) { must(t, os.Remove(root)) }, HomeRequest{}, fault.Usage, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.ask.Root, tt.ask.Snapshot = filepath.Join(t.TempDir(), "root"), o.ids["new"]
			must(t, os.Mkdir(tt.ask.Root, 0o755))
			tt.change(tt.ask.Root)
			if _, err := o.Home(context.Background(), tt.ask); err == nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Home: class %d, %v; expected %d, %s", fault.ClassOf(err), err, tt.class, tt.want)
			}
		})
	}
}
