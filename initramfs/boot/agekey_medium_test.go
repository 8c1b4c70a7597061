package boot

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/agekey/agekeytest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

func TestMedium(t *testing.T) {
	tests := []struct {
		name  string
		files func(b *keyBench) map[string]string
		code  firstboot.Code
		line  string
	}{
		{"plain", func(b *keyBench) map[string]string { return map[string]string{"AGE-KEY.TXT": b.text, "x": "y"} }, 0, `^<6>age key from key medium /dev/sda1 \(age-key.txt\): installed as /var/lib/sops-nix/key.txt$`},
		{"no file", func(*keyBench) map[string]string { return map[string]string{"key.txt": "x"} }, firstboot.CodeNoKey, `^<4>age key: key medium /dev/sda1: there is no age-key.txt in its top directory; .*mkimage keys medium`},
		{"no file system", func(*keyBench) map[string]string { return nil }, firstboot.CodeBadKey, `^<4>age key: key medium /dev/sda1: no FAT32 file system: .*signature.*; .*mkimage keys medium`},
		{"no key", func(*keyBench) map[string]string { return map[string]string{"age-key.txt": "hello"} }, firstboot.CodeBadKey, `^<4>age key: key medium /dev/sda1 \(age-key.txt\): line 1: not a secret key`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newKeyBench(t, config.KeyMedium)
			b.plug("sda", medium(test.files(b)))
			b.start()
			b.wait()
			if test.code == 0 {
				b.wantKey("key medium /dev/sda1")
			} else {
				b.wantStep(map[bool]string{true: firstboot.Waiting, false: firstboot.Failed}[test.code == firstboot.CodeNoKey], test.code, "key medium /dev/sda1")
			}
			b.wantLine(test.line)
			if b.driven != 1 {
				t.Errorf("drivers were started %d times", b.driven)
			}
		})
	}
	t.Run("FAT16", func(t *testing.T) {
		b := newKeyBench(t, config.KeyMedium)
		b.plug("sda", medium(map[string]string{"age-key.txt": b.text}))
		b.asFAT16("sda1")
		b.start()
		b.wait()
		b.wantNone(firstboot.Failed, firstboot.CodeBadKey, "fields of FAT12 or FAT16 are set, expected FAT32")
	})
	t.Run("two", func(t *testing.T) {
		b := newKeyBench(t, config.KeyMedium)
		_, other := newIdentity(t)
		b.plug("sda", medium(map[string]string{"age-key.txt": other}))
		b.plug("sdb", part{rootType, "backup", map[string]string{"age-key.txt": other}}, medium(map[string]string{"age-key.txt": b.text}))
		b.known()
		b.start()
		b.wait()
		b.wantKey("key medium /dev/sdb2")
		b.wantLine(`^<4>age key: 2 key media, /dev/sda1 and /dev/sdb2: one after the other is tried$`)
	})
}

// A stick is there seconds after the root, and is taken as soon as it is.
func TestMediumLater(t *testing.T) {
	tests := []struct {
		since, want time.Duration
		more        bool
	}{
		{time.Second, 5 * time.Second, false}, {time.Second, 5 * time.Second, true}, {3 * time.Second, 4 * time.Second, true},
		{5999 * time.Millisecond, time.Millisecond, false}, {time.Hour, 4 * time.Second, true},
	}
	for _, test := range tests {
		b := newKeyBench(t, config.KeyMedium)
		b.since = func() time.Duration { return test.since }
		b.moreDrivers = test.more
		b.start()
		b.eventually("waiting", func() bool { return b.timers.count(test.want) == 1 })
		b.plug("sda", medium(map[string]string{"age-key.txt": b.text}))
		b.wait()
		b.wantKey("key medium /dev/sda1")
	}
	t.Run("never", func(t *testing.T) {
		b := newKeyBench(t, config.KeyMedium)
		b.since = func() time.Duration { return 0 }
		b.start()
		b.eventually("waiting", func() bool { return b.timers.fire(mediumBy) })
		b.wait()
		b.wantNone(firstboot.Waiting, firstboot.CodeNoKey, "none was found: no partition of the label MKIMAGE-KEYS")
	})
}

// A medium that the finder has heard nothing of is found, too; one that is
// taken away and comes back is read again.
func TestMediumAgain(t *testing.T) {
	b := newKeyBench(t, config.KeyMedium)
	b.since = func() time.Duration { return 0 }
	b.plug("sda", medium(nil))
	for range 2 {
		<-b.finder.names
	}
	b.start()
	b.eventually("refusal", func() bool { return len(b.logged()) == 1 })
	b.wantLine("no FAT32 file system")
	b.finder.gone <- "sda1"
	b.plug("sda", medium(map[string]string{"age-key.txt": b.text}))
	b.wait()
	b.wantKey("key medium /dev/sda1")
}

func TestESP(t *testing.T) {
	esp := func(files map[string]string) []part { return []part{{espType, "ESP", files}, {rootType, "nixos", nil}} }
	tests := []struct {
		name    string
		parts   func(b *keyBench) []part
		code    firstboot.Code
		message string
	}{
		{"plain", func(b *keyBench) []part { return esp(map[string]string{"age-key.txt": b.text}) }, firstboot.CodeBadKey, "ESP of /dev/vda (partition 1): age-key.txt: is not encrypted"},
		{"plain by another name", func(b *keyBench) []part { return esp(map[string]string{"age-key.txt.age": b.text}) }, firstboot.CodeBadKey, "ESP of /dev/vda (partition 1): age-key.txt.age is not encrypted: not used"},
		{"none", func(b *keyBench) []part { return esp(map[string]string{"x": b.text}) }, firstboot.CodeNoKey, "none was found: no age-key.txt.age on the ESP of /dev/vda (partition 1)"},
		{"no file system", func(*keyBench) []part { return esp(nil) }, firstboot.CodeBadKey, "ESP of /dev/vda (partition 1): no FAT32 file system"},
		{"no ESP", func(b *keyBench) []part {
			return []part{{rootType, "ESP", map[string]string{"age-key.txt.age": b.text}}}
		}, firstboot.CodeNoKey, "none was found: no ESP on /dev/vda"},
		{"nobody", func(b *keyBench) []part {
			return esp(map[string]string{"age-key.txt.age": string(agekeytest.Encrypted(t, b.text, "x"))})
		}, firstboot.CodeNoKey, "ESP of /dev/vda (partition 1): encrypted, and nobody gave its passphrase"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newKeyBench(t, config.KeyESP)
			b.plug("vda", test.parts(b)...)
			b.plug("vdb", part{espType, "ESP", map[string]string{"age-key.txt.age": b.text}}) // of another disk
			b.start()
			b.wait()
			b.wantNone(map[bool]string{true: firstboot.Waiting, false: firstboot.Failed}[test.code == firstboot.CodeNoKey], test.code, test.message)
		})
	}
	t.Run("no table", func(t *testing.T) {
		b := newKeyBench(t, config.KeyESP)
		b.plug("vda", esp(nil)...)
		flip(t, filepath.Join(b.host.dev, "vda"), 512)
		b.start()
		b.wait()
		b.wantNone(firstboot.Waiting, firstboot.CodeNoKey, "no GUID partition table")
	})
}
