package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// A machine without secrets, and the factory system, do nothing.
func TestAgeKeyNotWanted(t *testing.T) {
	for _, m := range []*machine{{}, {config: config.Config{AgeKey: &config.AgeKey{}}, cmd: Cmdline{Factory: true}}} {
		if err := m.ageKey(); err != nil {
			t.Errorf("ageKey = %v", err)
		}
	}
}

// At all boots but the first the key is there: no driver is started, and nothing
// is waited for.
func TestAgeKeyInPlace(t *testing.T) {
	b := newKeyBench(t, config.KeyMedium, config.KeyESP, config.KeyCredential, config.KeyConsole)
	fill(t, b.root, keyPath, []byte(b.text))
	if err := os.Chmod(filepath.Join(b.root, keyPath), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.start()
		b.wait()
	}
	b.wantKey("it was in place")
	state, err := firstboot.ReadState(b.files)
	if err != nil || len(state.Steps()) != 1 {
		t.Errorf("steps %v, %v; want one for two boots", state.Steps(), err)
	}
	if len(b.timers.made) > 0 || b.driven != 0 || len(b.logged()) != 2 {
		t.Errorf("timers %v, drivers %d, lines %q; want one line a boot", b.timers.made, b.driven, b.logged())
	}
	b.wantLine(`^<6>age key /var/lib/sops-nix/key.txt is in place$`)
}

// A key that opens nothing, such as sops-nix makes one, is replaced and kept.
func TestAgeKeyOtherInPlace(t *testing.T) {
	for _, text := range []string{"", "no key"} {
		b := newKeyBench(t, config.KeyCredential)
		if text == "" {
			_, text = newIdentity(t)
		}
		fill(t, b.root, keyPath, []byte(text))
		b.fwcfg(b.text)
		b.start()
		b.wait()
		b.wantKey("age key from credential mkimage.age-key of fw_cfg: replaced as " + keyPath)
		b.wantLine(`^<4>age key: .*; looking for another$`)
		if !b.exists(keyPath[1:] + ".old-19700101T001640Z") {
			t.Error("the old key is not kept")
		}
	}
}

func TestAgeKeyNowhere(t *testing.T) {
	b := newKeyBench(t, config.KeyMedium, "moon", config.KeyESP, config.KeyCredential, config.KeyConsole)
	b.keySearch.root.Part = 0
	b.start()
	b.wait()
	b.wantNone(firstboot.Waiting, firstboot.CodeNoKey,
		"age key: none was found: no partition of the label MKIMAGE-KEYS, no ESP: /dev/vda2 is no partition, no credential mkimage.age-key, nobody typed one")
	b.wantLine(`^<4>age key: source "moon" is unknown$`)
}

// The first key that fits is used, whatever was refused before.
func TestAgeKeyOrder(t *testing.T) {
	b := newKeyBench(t, config.KeyMedium, config.KeyCredential)
	_, other := newIdentity(t)
	b.plug("sda", medium(map[string]string{"age-key.txt": other}))
	b.start()
	b.wait()
	b.wantNone(firstboot.Failed, firstboot.CodeOtherKey, "key medium /dev/sda1 (age-key.txt): key of age: it is age1")
	b.wantLine(`^<4>age key: key medium /dev/sda1 \(age-key.txt\): key of age: it is age1.*, the secrets need age1`)
	b.fwcfg(b.text)
	b.start()
	b.wait()
	b.wantKey("age key from credential mkimage.age-key of fw_cfg: installed as " + keyPath)
}

// What goes wrong does not stop the boot.
func TestAgeKeyFaults(t *testing.T) {
	t.Run("panic", func(t *testing.T) {
		b := newKeyBench(t, config.KeyMedium)
		b.finder = nil
		b.start()
		b.wait()
		b.wantNone(firstboot.Failed, 0, "a fault of mkimage-init")
	})
	t.Run("no room", func(t *testing.T) {
		b := newKeyBench(t, config.KeyCredential)
		b.fwcfg(b.text)
		fill(t, b.root, "var/lib/sops-nix", nil)
		b.start()
		b.wait()
		b.wantNone(firstboot.Failed, 0, "the key from credential mkimage.age-key of fw_cfg: ")
	})
	t.Run("no journal", func(t *testing.T) {
		b := newKeyBench(t, config.KeyCredential)
		b.fwcfg(b.text)
		fill(t, b.root, "var/lib/mkimage", nil)
		b.start()
		b.wait()
		b.wantLine(`^<4>age key: cannot be noted: `)
		if !b.exists(keyPath[1:]) {
			t.Error("no key")
		}
	})
	t.Run("damaged journal", func(t *testing.T) {
		b := newKeyBench(t, config.KeyCredential)
		b.fwcfg(b.text)
		fill(t, b.root, firstboot.StatePath, []byte("{"))
		b.start()
		b.wait()
		b.wantLine(`^<4>age key: .*state.json.damaged`)
		b.wantKey("installed")
	})
}

// What was left to the system at the root's time is loaded once more is needed.
func TestLoaderRest(t *testing.T) {
	list := []Module{{Name: "a", Path: "a"}, {Name: "b", Path: "b", After: []string{"a"}}, {Name: "c", Path: "c", After: []string{"b"}}}
	l := startLoader(list, 0, func(string) error { return nil })
	l.keep(nil)
	if !l.rest() {
		t.Error("rest: nothing; want all")
	}
	l.finish(deadline)
	if loaded, left := l.counts(); loaded != 3 || left != 0 {
		t.Errorf("%d loaded, %d left; want all 3", loaded, left)
	}
	if l.rest() {
		t.Error("rest of all: more")
	}
}

func TestBounded(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	end := make(chan time.Time, 1)
	end <- time.Time{}
	_, err := bounded(end, func() (int, error) { <-release; return 0, nil })
	if err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("bounded = %v", err)
	}
	if _, err := bounded(nil, func() (int, error) { panic("x") }); err == nil || !strings.HasPrefix(err.Error(), "panic: x") {
		t.Errorf("bounded = %v; want the panic", err)
	}
}
