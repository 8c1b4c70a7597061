package source

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func recipeOf(t *testing.T, o Options) recipe {
	t.Helper()
	if o.Epoch.IsZero() {
		o.Epoch = time.Unix(0, 0)
	}
	r, err := newRecipe("trixie", o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecipeCommand(t *testing.T) {
	r := recipeOf(t, Options{Packages: []string{"sudo", "g++", "sudo"}, Locales: []string{"en_US.UTF-8", "C.UTF-8", "de_AT@euro", "de_AT.UTF-8"}})
	r.Pins = []Package{{Name: "sudo", Version: "1:1.9~x", Architecture: "amd64"}}
	want := []string{
		"mmdebstrap", "--mode=unshare", "--variant=minbase", "--architectures=amd64", "--format=tar", "--verbose",
		"--keyring=/usr/share/keyrings/debian-archive-keyring.gpg", "--dpkgopt=force-unsafe-io",
		"--setup-hook=mkdir -p \"$1/etc/apt/preferences.d\"; cat >>\"$1/etc/apt/preferences.d/mkimage\" <<'END'\n" +
			"Package: sudo\nPin: version 1:1.9~x\nPin-Priority: 1001\n\nEND\n",
		"--include=g++,locales,sudo",
		"--customize-hook=set -e; cat >>\"$1/etc/locale.gen\" <<'END'\nde_AT.UTF-8 UTF-8\nde_AT.UTF-8@euro UTF-8\nen_US.UTF-8 UTF-8\nEND\nchroot \"$1\" locale-gen",
		"--customize-hook=" + hookInitramfs, "--customize-hook=" + hookIndex, "trixie", "-",
		"deb http://m/d trixie main", "deb http://m/d trixie-updates main", "deb http://s/d trixie-security main",
	}
	if d := cmp.Diff(want, r.command("unshare", Mirrors{"http://m/d", "http://s/d"})); d != "" {
		t.Errorf("command (-want +got):\n%s", d)
	}
	bare := recipeOf(t, Options{}).command("root", Mirrors{"http://m/d", "http://s/d"})
	if slices.ContainsFunc(bare, func(a string) bool { return strings.HasPrefix(a, "--include") || strings.Contains(a, "locale") }) {
		t.Errorf("without packages and locales: %q", bare)
	}
}

// TestRecipeHookLimit keeps the hooks of a large lock below the kernel's limit
// of one argument, 128 KiB.
func TestRecipeHookLimit(t *testing.T) {
	for _, n := range []int{pinsPerHook - 1, pinsPerHook, pinsPerHook + 1} {
		var r recipe
		for i := range n {
			r.Pins = append(r.Pins, Package{Name: fmt.Sprintf("%0100d", i), Version: strings.Repeat("1", 60), Architecture: "all"})
		}
		hooks := r.hookPins()
		if want := (n + pinsPerHook - 1) / pinsPerHook; len(hooks) != want {
			t.Errorf("%d pins: %d hooks; want %d", n, len(hooks), want)
		}
		if len(hooks[0]) >= 128<<10 {
			t.Errorf("%d pins: a hook of %d bytes", n, len(hooks[0]))
		}
		if got := strings.Count(strings.Join(hooks, ""), "Pin-Priority"); got != n {
			t.Errorf("%d pins: %d in hooks", n, got)
		}
	}
}

func TestRecipeKey(t *testing.T) {
	base := Options{Packages: []string{"aa", "bb"}, Locales: []string{"en_US.UTF-8"}, Epoch: time.Unix(1, 0)}
	same := base
	same.Packages, same.Mirrors, same.Epoch = []string{"bb", "aa", "bb"}, Mirrors{Main: "http://x/debian"}, time.Unix(1, 5).In(time.FixedZone("x", 3600))
	key := recipeOf(t, base).key()
	if !strings.HasPrefix(key, "debian-trixie-amd64-") || strings.Contains(key, ".") {
		t.Errorf("key %q", key)
	}
	if got := recipeOf(t, same).key(); got != key {
		t.Errorf("the order, the mirror and the time zone count: %s, %s", key, got)
	}
	others := map[string]func(*Options){
		"packages":     func(o *Options) { o.Packages = []string{"aa"} },
		"locales":      func(o *Options) { o.Locales = []string{"de_AT.UTF-8"} },
		"architecture": func(o *Options) { o.Arch = "arm64" },
		"epoch":        func(o *Options) { o.Epoch = time.Unix(2, 0) },
	}
	for name, change := range others {
		o := base
		change(&o)
		if recipeOf(t, o).key() == key {
			t.Errorf("%s do not count", name)
		}
	}
	locked, err := recipeOf(t, base).pinned(sampleLock())
	if err != nil || locked.key() == key {
		t.Errorf("the lock does not count: %v", err)
	}
}

func TestRecipeRefuses(t *testing.T) {
	tests := []struct {
		name, want string
		o          Options
	}{
		{"architecture", `debian source: architecture "x y": not a name of one`, Options{Arch: "x y"}},
		{"version of a package", `debian source: package "sudo=1": not a name of a Debian package`, Options{Packages: []string{"sudo=1"}}},
		{"removal", `debian source: package "apt-": not a name of a Debian package`, Options{Packages: []string{"apt-"}}},
		{"pattern", `debian source: package "?essential": not a name of a Debian package`, Options{Packages: []string{"?essential"}}},
		{"shell", `debian source: locale "C;id": not a name of a UTF-8 locale`, Options{Locales: []string{"C;id"}}},
		{"encoding", `debian source: locale "de_AT.ISO-8859-1": not a name of a UTF-8 locale`, Options{Locales: []string{"de_AT.ISO-8859-1"}}},
		{"epoch", `debian source: epoch 1969-12-31 23:59:59 +0000 UTC: expected a time from 1970 to 9999`, Options{Epoch: time.Unix(-1, 0).UTC()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.Epoch.IsZero() {
				tt.o.Epoch = time.Unix(0, 0)
			}
			if _, err := newRecipe("trixie", tt.o); errorText(err) != tt.want || fault.ClassOf(err) != fault.Config {
				t.Errorf("error %v of class %d; want %q of class %d", err, fault.ClassOf(err), tt.want, fault.Config)
			}
		})
	}
	other := sampleLock()
	other.Source = "debian:sid"
	if _, err := recipeOf(t, Options{Epoch: time.Unix(0, 0)}).pinned(other); errorText(err) != "lock: is of debian:sid for amd64, expected debian:trixie for amd64" {
		t.Errorf("lock of another release: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	got := recipe{Epoch: 7}.environment([]string{"LANG=de_AT", "http_proxy=http://p", "SECRET=x", "TMPDIR=/var/tmp", "http_proxyx=1"})
	want := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TERM=dumb", "SOURCE_DATE_EPOCH=7", "INITRD=No", "http_proxy=http://p", "TMPDIR=/var/tmp"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("environment (-want +got):\n%s", d)
	}
}
