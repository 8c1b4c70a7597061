package boot

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseModules(t *testing.T) {
	tests := []struct {
		name, in string
		want     []Module
		err      string
	}{
		{"empty", "\n \n", nil, ""},
		{"two", "/m/usb-common.ko\n/m/a.ko usb_common\n", []Module{{"usb_common", "/m/usb-common.ko", []string{}}, {"a", "/m/a.ko", []string{"usb_common"}}}, ""},
		{"later dependency", "/m/a.ko b\n/m/b.ko\n", nil, "line 1: a depends on b"},
		{"itself", "/m/a.ko a\n", nil, "line 1: a depends on a"},
		{"twice", "/m/a-b.ko\n/n/a_b.ko\n", nil, "line 2: a_b is listed twice"},
		{"relative", "m/a.ko\n", nil, "line 1"},
		{"compressed", "/m/a.ko.xz\n", nil, "line 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseModules(tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseModules (-want +got):\n%s", diff)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v; want %q", err, tt.err)
			}
		})
	}
}

func FuzzParseModules(f *testing.F) {
	f.Add("/m/a.ko\n/m/b.ko a\n")
	f.Add("x\n")
	f.Fuzz(func(t *testing.T, text string) {
		modules, err := ParseModules(text)
		if err != nil {
			return
		}
		// What is accepted can be loaded to the end.
		startLoader(modules, 2, func(string) error { return nil }).finish(time.Minute)
	})
}

func list(t *testing.T, text string) []Module {
	t.Helper()
	modules, err := ParseModules(text)
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

const someModules = "/m/disk.ko\n/m/sum.ko\n/m/raid6_pq.ko\n/m/btrfs.ko sum raid6_pq\n/m/usb.ko\n/m/stick.ko usb\n"

func TestUrgent(t *testing.T) {
	var got []string
	for _, m := range urgent(list(t, someModules), []string{"btrfs"}) {
		got = append(got, m.Name)
	}
	if diff := cmp.Diff([]string{"raid6_pq", "sum", "btrfs", "disk", "usb", "stick"}, got); diff != "" {
		t.Errorf("urgent (-want +got):\n%s", diff)
	}
}

// recorder is a kernel that notes what was loaded, and refuses some.
type recorder struct {
	mu     sync.Mutex
	loaded []string
	refuse map[string]error
}

func (r *recorder) load(path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refuse[path]; err != nil {
		return err
	}
	r.loaded = append(r.loaded, moduleName(path))
	return nil
}

func TestLoaderOrder(t *testing.T) {
	modules := list(t, someModules)
	for range 50 {
		r := &recorder{}
		l := startLoader(modules, 4, r.load)
		l.finish(time.Minute)
		for _, m := range modules {
			for _, dep := range m.After {
				if slices.Index(r.loaded, dep) > slices.Index(r.loaded, m.Name) {
					t.Fatalf("loaded %v: %s before %s", r.loaded, m.Name, dep)
				}
			}
		}
		if loaded, left := l.counts(); loaded != len(modules) || left != 0 || len(r.loaded) != len(modules) {
			t.Fatalf("counts %d, %d; loaded %v", loaded, left, r.loaded)
		}
	}
}

func TestLoaderFailure(t *testing.T) {
	r := &recorder{refuse: map[string]error{"/m/sum.ko": errors.New("exec format error")}}
	l := startLoader(list(t, someModules), 2, r.load)
	if err := l.wait("btrfs"); err == nil || err.Error() != "needs sum, which failed" {
		t.Errorf("wait(btrfs) = %v", err)
	}
	if err := l.wait("stick"); err != nil {
		t.Errorf("wait(stick) = %v", err)
	}
	if err := l.wait("ext4"); err != nil {
		t.Errorf("wait(ext4), which is not listed = %v", err)
	}
	l.finish(time.Minute)
	want := []string{"btrfs: needs sum, which failed", "sum: exec format error"}
	if diff := cmp.Diff(want, l.failures()); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

// Once the root is there, modules that it does not need are left out, and
// those that are under way are waited for.
func TestLoaderKeep(t *testing.T) {
	started, release := make(chan string), make(chan bool)
	l := startLoader(list(t, someModules), 1, func(path string) error {
		started <- moduleName(path)
		<-release
		return nil
	})
	<-started // disk
	l.keep([]string{"btrfs"})
	var got []string
	for range 3 {
		release <- true
		got = append(got, <-started)
	}
	if diff := cmp.Diff([]string{"sum", "raid6_pq", "btrfs"}, got); diff != "" {
		t.Errorf("loaded after keep (-want +got):\n%s", diff)
	}
	go func() { release <- true }()
	if err := l.wait("btrfs"); err != nil {
		t.Error(err)
	}
	l.finish(time.Minute)
	if err := l.wait("stick"); err != nil {
		t.Errorf("wait(stick), which was left out = %v", err)
	}
	if loaded, left := l.counts(); loaded != 4 || left != 2 {
		t.Errorf("counts = %d, %d; want 4, 2", loaded, left)
	}
}

// A driver that hangs holds up whoever waits for all of them for the limit, and
// is named.
// TestLoaderDemand loads what was left out after all, with what it needs, when
// no worker is there any more.
func TestLoaderDemand(t *testing.T) {
	r := &recorder{refuse: map[string]error{"/m/disk.ko": errors.New("no such device")}}
	l := startLoader(list(t, someModules), 0, r.load)
	l.keep([]string{"raid6_pq"})
	for range 2 {
		if err := l.demand("stick"); err != nil {
			t.Errorf("demand(stick) = %v", err)
		}
	}
	if err := l.demand("disk"); err == nil || err.Error() != "no such device" {
		t.Errorf("demand(disk) = %v", err)
	}
	if err := l.demand("vfat"); err != nil {
		t.Errorf("demand of what is built in = %v", err)
	}
	l.finish(time.Minute)
	if diff := cmp.Diff([]string{"raid6_pq", "usb", "stick"}, r.loaded); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
}

func TestLoaderHangingDriver(t *testing.T) {
	release := make(chan bool)
	defer close(release)
	l := startLoader(list(t, someModules), 2, func(path string) error {
		if path == "/m/usb.ko" {
			<-release
		}
		return nil
	})
	if err := l.wait("btrfs"); err != nil {
		t.Error(err)
	}
	within(10*time.Second, func() { l.finish(time.Millisecond) })
	if diff := cmp.Diff([]string{"usb: is still being loaded"}, l.failures()); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

func TestLoadModule(t *testing.T) {
	if err := loadModule("/nonexistent.ko"); err == nil {
		t.Error("a missing file was loaded")
	}
}
