package boot

import (
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/initramfs/terminal/terminaltest"
	"github.com/6FaNcY9/mkimage/installer/agekey/agekeytest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// console is a terminal at which a test sits.
type console struct{ *terminaltest.Console }

// answer types keys when it is asked for something.
func (c console) answer(question, keys string) {
	c.See(question)
	c.See("Nothing is shown of what you type: ")
	c.Press(keys)
}

// newAsked is a machine with a key on its ESP, encrypted, and two consoles.
func newAsked(t *testing.T, passphrase string, sources ...string) (b *keyBench, one, two console) {
	t.Helper()
	b = newKeyBench(t, sources...)
	one, two = console{terminaltest.New(t)}, console{terminaltest.New(t)}
	b.nodes = []string{one.Node, "/dev/null", two.Node, "/nowhere"}
	if passphrase != "" {
		b.plug("vda", part{espType, "ESP", map[string]string{"age-key.txt.age": string(agekeytest.Encrypted(t, b.text, passphrase))}}, part{rootType, "nixos", nil})
	}
	return b, one, two
}

const askPassphrase = "passphrase of the age key on the ESP of /dev/vda (partition 1).\r\n" +
	"  Without an answer the boot goes on 7s after the last key; Ctrl-C goes on at once."

func TestPassphrase(t *testing.T) {
	tests := []struct{ name, passphrase, keys string }{
		{"right", "open sesame", "open sesame\r"},
		{"newline", "open sesame", "open sesame\n"},
		{"backspace", "open sesame", "opex\bn sesä\x7fame\r"},
		{"Ctrl-U", "open sesame", "wrong\x15open sesame\r"},
		{"arrows and function keys", "open sesame", "\x1b[Dop\x1b[[Aen\x1b[15~ ses\x1bOPa\x1b1me\x1bx\r"},
		{"Escape", "open sesame", "open sesame\x1b\r"},
		{"control characters", "open sesame", "\x00open\t sesame\x1c\r"},
		{"not of ASCII", "öffne dich", "öffne dich\r"},
		{"after a wrong one", "open sesame", "wrong\ropen sesame\r"},
		{"after two wrong ones", "open sesame", "\r\nwrong\r\nopen sesame\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, one, two := newAsked(t, test.passphrase, config.KeyESP)
			b.start()
			one.See(askPassphrase)
			two.answer(askPassphrase, test.keys)
			two.See("mkimage-init: trying the passphrase, which takes some seconds\r\n")
			b.wait()
			b.wantKey("age key from ESP of /dev/vda (partition 1): installed as")
			one.Left(test.passphrase)
			two.Left(test.passphrase, b.key.String())
			if b.driven != 1 || strings.Contains(two.All(), "plugged in") {
				t.Errorf("drivers started %d times, prompt:\n%s", b.driven, two.All())
			}
		})
	}
}

func TestPassphraseWrong(t *testing.T) {
	b, one, _ := newAsked(t, "right", config.KeyESP)
	b.start()
	for _, rest := range []string{"mkimage-init: passphrase of the key: wrong; type it again; mind the layout of the keyboard; tries left: 2", "tries left: 1", "age key: ESP of /dev/vda (partition 1): passphrase of the key: wrong; "} {
		one.answer("passphrase of", "wrong\r")
		one.See(rest)
	}
	b.wait()
	b.wantNone(firstboot.Failed, firstboot.CodePassphrase, "ESP of /dev/vda (partition 1): passphrase of the key: wrong")
	one.Left("wrong\r", "wrong\n")
}

func TestPassphraseNotGiven(t *testing.T) {
	for _, keys := range []string{"\x03", "rig\x04"} {
		b, one, _ := newAsked(t, "right", config.KeyESP)
		b.start()
		one.answer(askPassphrase, keys)
		b.wait()
		b.wantNone(firstboot.Waiting, firstboot.CodeNoKey, "none was found: ESP of /dev/vda (partition 1): encrypted, and nobody gave its passphrase")
		one.Left("rig\r", "rig\n")
	}
}

// scrypt must not take the memory that the system needs.
func TestPassphraseMemory(t *testing.T) {
	b, one, _ := newAsked(t, "right", config.KeyESP)
	fill(t, b.proc, "meminfo", []byte("MemAvailable: 1000 kB\n"))
	b.start()
	one.answer(askPassphrase, "right\r")
	b.wait()
	b.wantNone(firstboot.Failed, firstboot.CodeMemory, "MiB of memory are needed")
	b.wantLine(`^<7>age key: ESP of /dev/vda \(partition 1\): passphrase of the key: .* MiB of memory are needed`)
}

// The time counts from the last key. After nobody has answered nobody is asked
// again.
func TestPassphraseTime(t *testing.T) {
	b, one, _ := newAsked(t, "right", config.KeyESP, config.KeyConsole)
	b.plug("sda", medium(map[string]string{"age-key.txt": b.text})) // which is no source
	b.known()
	b.start()
	one.answer(askPassphrase, "r")
	b.eventually("time anew", func() bool { return b.timers.count(keyWait*time.Second) == 2 })
	b.timers.fire(keyWait * time.Second)
	b.wait()
	one.See("mkimage-init: nobody has typed anything for 7s\r\n")
	b.wantNone(firstboot.Waiting, firstboot.CodeNoKey, "nobody gave its passphrase, nobody typed one")
	one.Left()
	if n := b.timers.count(keyWait * time.Second); n != 2 {
		t.Errorf("%d timers; want one from the prompt and one from the key", n)
	}
}

// A key medium that is plugged in meanwhile ends the asking, unless it is of no
// use.
func TestPassphraseMedium(t *testing.T) {
	b, one, _ := newAsked(t, "right", config.KeyMedium, config.KeyESP)
	b.start()
	one.See(askPassphrase)
	one.See("A key medium that is plugged in now is used instead.\r\n")
	one.Press("ri")
	_, other := newIdentity(t)
	b.plug("sda", medium(map[string]string{"age-key.txt": other}))
	one.See("mkimage-init: key medium /dev/sda1\r\n")
	one.See("mkimage-init: age key: key medium /dev/sda1 (age-key.txt): key of age: it is age1")
	one.See(askPassphrase)
	b.plug("sdb", medium(map[string]string{"age-key.txt.age": string(agekeytest.Encrypted(t, b.text, "of the stick"))}))
	one.See("2 key media, /dev/sda1 and /dev/sdb1")
	one.answer("passphrase of the age key on the key medium /dev/sdb1 (age-key.txt.age)", "of the stick\r")
	b.wait()
	b.wantKey("age key from key medium /dev/sdb1 (age-key.txt.age): installed")
	one.Left("of the stick")
}

func TestPaste(t *testing.T) {
	b, one, two := newAsked(t, "", config.KeyMedium, config.KeyConsole)
	b.text = "AGE-SECRET-KEY-1\r\nno key\r\n" + b.text // the third try
	b.start()
	two.See("no key of age that fits was found")
	one.answer("no key of age that fits was found: paste it (AGE-SECRET-KEY-1…).\r\n"+
		"  Without an answer the boot goes on 7s after the last key; Enter goes on at once.", b.text)
	b.wait()
	b.wantKey("age key from console: installed as " + keyPath)
	one.Left(b.key.String())
	two.Left(b.key.String())
	if n := strings.Count(one.All(), "paste it"); n != 1 {
		t.Errorf("asked %d times; want once for lines that were pasted at once", n)
	}
}

func TestPasteNot(t *testing.T) {
	_, other := newIdentity(t)
	other, _, _ = strings.Cut(strings.TrimPrefix(other, "# created: today\r\n"), "\r")
	const nobody = "none was found: nobody typed one"
	tests := []struct {
		name, keys, result, message string
		code                        firstboot.Code
	}{
		{"Enter", "\r", firstboot.Waiting, nobody, firstboot.CodeNoKey},
		{"spaces", "  \r", firstboot.Waiting, nobody, firstboot.CodeNoKey},
		{"Ctrl-D", "AGE\x04", firstboot.Waiting, nobody, firstboot.CodeNoKey},
		{"three others", strings.Repeat(other+"\r\n", 3), firstboot.Failed, "console: key of age: it is age1", firstboot.CodeOtherKey},
		{"three that are none", strings.Repeat("AGE-SECRET-KEY-1QQ\r\n", 3), firstboot.Failed, "console: line 1: a secret key with a mistake", firstboot.CodeBadKey},
		{"comments", strings.Repeat("#\r", 200), firstboot.Waiting, "none was found", firstboot.CodeNoKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, one, _ := newAsked(t, "", config.KeyConsole)
			b.start()
			one.answer("paste it", test.keys)
			b.wait()
			b.wantNone(test.result, test.code, test.message)
			one.Left(other, "QQ")
		})
	}
}

// A console that is no person is left out, and one that ends.
func TestNoise(t *testing.T) {
	b, one, two := newAsked(t, "", config.KeyConsole)
	b.start()
	two.See("Nothing is shown of what you type: ")
	one.answer("paste it", strings.Repeat("x", terminal.MaxTyped))
	for range 2 {
		one.Press(strings.Repeat("\x00", 1))
	}
	one.See("this console is not asked any more")
	two.Press(b.key.String() + "\r")
	b.wait()
	b.wantKey("age key from console: installed")
	one.Left()
	t.Run("all", func(t *testing.T) {
		b, one, _ := newAsked(t, "", config.KeyConsole)
		b.nodes = []string{one.Node}
		b.start()
		one.answer("paste it", strings.Repeat("\x00", terminal.MaxTyped+1))
		b.wait()
		b.wantNone(firstboot.Waiting, firstboot.CodeNoKey, "nobody typed one")
		one.Left()
	})
	t.Run("gone", func(t *testing.T) {
		b, one, two := newAsked(t, "", config.KeyConsole)
		b.start()
		two.See("paste it")
		two.HangUp()
		one.answer("paste it", b.key.String()+"\r")
		b.wait()
		b.wantKey("age key from console: installed")
	})
}

// An answer may have so many keys, and no more.
func TestTypedLimit(t *testing.T) {
	for extra, found := range map[int]bool{-1: true, 0: true, 1: false} {
		b, one, _ := newAsked(t, "", config.KeyConsole)
		b.nodes = []string{one.Node}
		b.start()
		answer := b.key.String() + "\r"
		one.answer("paste it", strings.Repeat("\x00", terminal.MaxTyped+extra-len(answer))+answer)
		b.wait()
		if found {
			b.wantKey("age key from console: installed")
		} else {
			b.wantNone(firstboot.Waiting, firstboot.CodeNoKey, "nobody typed one")
		}
	}
}

// The lines of two consoles do not mix.
func TestTwoConsoles(t *testing.T) {
	b, one, two := newAsked(t, "right", config.KeyESP)
	b.start()
	one.answer(askPassphrase, "ri")
	b.eventually("first key", func() bool { return b.timers.count(keyWait*time.Second) == 2 })
	two.answer(askPassphrase, "right\r")
	b.wait()
	b.wantKey("ESP of /dev/vda (partition 1): installed")
	one.Left()
	two.Left()
}
