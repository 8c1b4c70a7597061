package grubcfg_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/loader/grubcfg"
)

func entry(id, title, options string) grubcfg.Entry {
	return grubcfg.Entry{ID: id, Title: title, Linux: "/mkimage/6.1/linux", Initrd: []string{"/mkimage/6.1/initramfs"}, Options: options}
}

func conf() grubcfg.Conf {
	two := entry("mkimage-fox-rescue", "Fox's $HOME {rescue} \"shell\" \\", `a "b=c d" e*`)
	two.Initrd = append(two.Initrd, "/mkimage/installer.cpio")
	return grubcfg.Conf{Timeout: 3, Default: "mkimage-fox", Entries: []grubcfg.Entry{entry("mkimage-fox", "fox", "root=PARTUUID=00 quiet"), two}, Custom: true}
}

const confText = `# Written by mkimage.
set timeout=3
set timeout_style=menu
set default=mkimage-fox
if [ -s "$prefix/grubenv" ]; then
	load_env next_entry
fi
if [ "$next_entry" ]; then
	set default="$next_entry"
	set next_entry=
	save_env next_entry
fi
set superusers=
export superusers
menuentry 'fox' --unrestricted --id mkimage-fox {
	regexp --set=1:root '^\(([^)]*)\)' "$prefix"
	linux /mkimage/6.1/linux root=PARTUUID=00 quiet
	initrd /mkimage/6.1/initramfs
}
menuentry 'Fox'\''s $HOME {rescue} "shell" \' --unrestricted --id mkimage-fox-rescue {
	regexp --set=1:root '^\(([^)]*)\)' "$prefix"
	linux /mkimage/6.1/linux a 'b=c d' 'e*'
	initrd /mkimage/6.1/initramfs /mkimage/installer.cpio
}
source "$prefix/custom.cfg"
`

func TestEncode(t *testing.T) {
	got, err := conf().Encode()
	if diff := cmp.Diff(confText, string(got)); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
	back, err := grubcfg.Parse(got)
	if diff := cmp.Diff(conf(), back); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	hidden, err := grubcfg.Conf{Default: "x"}.Encode()
	if err != nil || !strings.Contains(string(hidden), "set timeout=0\nset timeout_style=hidden\n") || strings.Contains(string(hidden), "custom") {
		t.Errorf("%v\n%s", err, hidden)
	}
	custom, err := grubcfg.EncodeCustom(conf().Entries)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := grubcfg.ParseCustom(custom)
	if diff := cmp.Diff(conf().Entries, entries); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if want := "# Written by mkimage.\nset prefix=\"($root)/grub\"\nsource \"$prefix/grub.cfg\"\n"; string(grubcfg.Stub()) != want {
		t.Errorf("stub:\n%s", grubcfg.Stub())
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*grubcfg.Conf)
		want   string // "" is no error
	}{
		{"timeout", func(c *grubcfg.Conf) { c.Timeout = -1 }, "timeout -1"},
		{"no default", func(c *grubcfg.Conf) { c.Default = "" }, `default: entry ""`},
		{"number for a default", func(c *grubcfg.Conf) { c.Default = "1" }, `default: entry "1"`},
		{"id begins with a digit", func(c *grubcfg.Conf) { c.Entries[0].ID = "6.1" }, `entry "6.1"`},
		{"id of a submenu", func(c *grubcfg.Conf) { c.Entries[0].ID = "a>b" }, `entry "a>b"`},
		{"id of two lines", func(c *grubcfg.Conf) { c.Entries[0].ID = "a\nb" }, `entry "a\nb"`},
		{"long id -1", func(c *grubcfg.Conf) { c.Entries[0].ID = strings.Repeat("x", 249) }, ""},
		{"long id 0", func(c *grubcfg.Conf) { c.Entries[0].ID = strings.Repeat("x", 250) }, ""},
		{"long id +1", func(c *grubcfg.Conf) { c.Entries[0].ID = strings.Repeat("x", 251) }, "at most 250 bytes"},
		{"id twice", func(c *grubcfg.Conf) { c.Entries[1].ID = c.Entries[0].ID }, "entry mkimage-fox: is there twice"},
		{"no title", func(c *grubcfg.Conf) { c.Entries[0].Title = "" }, `title ""`},
		{"title of two lines", func(c *grubcfg.Conf) { c.Entries[0].Title = "a\n}" }, "expected text on one line"},
		{"no kernel", func(c *grubcfg.Conf) { c.Entries[0].Linux = "" }, `path ""`},
		{"relative kernel", func(c *grubcfg.Conf) { c.Entries[0].Linux = "linux" }, `path "linux"`},
		{"way up", func(c *grubcfg.Conf) { c.Entries[0].Linux = "/../linux" }, `path "/../linux"`},
		{"other device", func(c *grubcfg.Conf) { c.Entries[0].Linux = "(hd1)/linux" }, `path "(hd1)/linux"`},
		{"path with a space", func(c *grubcfg.Conf) { c.Entries[0].Initrd = []string{"/a b"} }, `path "/a b"`},
		{"path of a store object", func(c *grubcfg.Conf) { c.Entries[0].Linux = "/kernels/0a-b?c=d+e_f" }, ""},
		{"no initrd", func(c *grubcfg.Conf) { c.Entries[0].Initrd = nil }, "no initrd"},
		{"open quotes", func(c *grubcfg.Conf) { c.Entries[0].Options = `"a b` }, "expected quotes to be closed"},
		{"quotes for nothing", func(c *grubcfg.Conf) { c.Entries[0].Options = `"ab"` }, "a space between them"},
		{"two spaces", func(c *grubcfg.Conf) { c.Entries[0].Options = `a  b` }, "expected"},
		{"space at the end", func(c *grubcfg.Conf) { c.Entries[0].Options = `a ` }, "expected one space"},
		{"words that touch", func(c *grubcfg.Conf) { c.Entries[0].Options = `"a b"c` }, "expected one space"},
		{"backslash", func(c *grubcfg.Conf) { c.Entries[0].Options = `a\b` }, "which GRUB changes"},
		{"command line -1", func(c *grubcfg.Conf) {
			c.Entries[0].Options = strings.Repeat("x", 2047-len("BOOT_IMAGE=/mkimage/6.1/linux ")-1)
		}, ""},
		{"command line 0", func(c *grubcfg.Conf) {
			c.Entries[0].Options = strings.Repeat("x", 2047-len("BOOT_IMAGE=/mkimage/6.1/linux "))
		}, ""},
		{"command line +1", func(c *grubcfg.Conf) {
			c.Entries[0].Options = strings.Repeat("x", 2048-len("BOOT_IMAGE=/mkimage/6.1/linux "))
		}, "of 2048 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := conf()
			tt.change(&c)
			_, err := c.Encode()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q in it", err, tt.want)
			}
		})
	}
}

// TestEncodeSize: no file is written that would not be read.
func TestEncodeSize(t *testing.T) {
	custom, err := grubcfg.EncodeCustom(conf().Entries)
	if err != nil {
		t.Fatal(err)
	}
	for d, ok := range map[int]bool{-1: true, 0: true, 1: false} {
		c := conf()
		title := c.Entries[0].Title
		c.Entries[0].Title = strings.Repeat("x", len(title)+grubcfg.MaxSize-len(confText)+d)
		if text, err := c.Encode(); (err == nil) != ok || ok && len(text) != grubcfg.MaxSize+d {
			t.Errorf("%d more than fit: %d bytes, %v", d, len(text), err)
		}
		c.Entries[0].Title = strings.Repeat("x", len(title)+grubcfg.MaxSize-len(custom)+d)
		if text, err := grubcfg.EncodeCustom(c.Entries); (err == nil) != ok || ok && len(text) != grubcfg.MaxSize+d {
			t.Errorf("custom, %d more than fit: %d bytes, %v", d, len(text), err)
		}
	}
	c := conf()
	c.Entries[0].Title = "\xff"
	if _, err := c.Encode(); err == nil {
		t.Error("a title that is not UTF-8 is taken")
	}
}

// TestParseRefuses: nothing passes for ours that others have written or changed.
func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, from, to string }{
		{"empty", confText, ""},
		{"first line", "mkimage.", "update-grub."},
		{"command before the entries", "export superusers\n", "export superusers\nboot\n"},
		{"superuser", "set superusers=\n", "set superusers=root\n"},
		{"style", "timeout_style=menu", "timeout_style=hidden"},
		{"number", "timeout=3\n", "timeout=03\n"},
		{"default", "default=mkimage-fox\n", "default=0\n"},
		{"command in an entry", "\tlinux /mkimage/6.1/linux root", "\tinsmod x\n\tlinux /mkimage/6.1/linux root"},
		{"other root", "regexp --set=1:root", "set root=hd1 #"},
		{"other command", "\tlinux /mkimage/6.1/linux root", "\tlinux16 /mkimage/6.1/linux root"},
		{"restricted", " --unrestricted --id mkimage-fox {", " --users=a --id mkimage-fox {"},
		{"variable", "quiet", "$quiet"},
		{"comment", "quiet", "quiet # loud"},
		{"two commands", "quiet", "quiet; halt"},
		{"space", "linux root", "linux  root"},
		{"open quote", "'b=c d'", "'b=c d"},
		{"end of an entry", "}\nmenuentry", "} \nmenuentry"},
		{"no line end", "custom.cfg\"\n", "custom.cfg\""},
		{"other file", "custom.cfg", "mine.cfg"},
		{"not UTF-8", "fox", "f\xffx"},
		{"large", "fox'", "fox" + strings.Repeat("x", grubcfg.MaxSize) + "'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(confText, tt.from, tt.to, 1)
			if text == confText {
				t.Fatal("nothing is changed")
			}
			if c, err := grubcfg.Parse([]byte(text)); err == nil {
				t.Errorf("read as %+v", c)
			}
		})
	}
	for _, text := range []string{"", "x", "# Written by mkimage.\nhalt\n", "# Written by mkimage.\nhalt\n\n\n\n", "# Written by mkimage.\nx", "\xff"} {
		if e, err := grubcfg.ParseCustom([]byte(text)); err == nil {
			t.Errorf("custom.cfg %q: read as %+v", text, e)
		}
	}
}

// TestParseSize: the largest file that is read, and one byte more.
func TestParseSize(t *testing.T) {
	c := grubcfg.Conf{Default: "x", Entries: []grubcfg.Entry{entry("x", "t", "")}}
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for d, ok := range map[int]bool{-1: true, 0: true, 1: false} {
		text := bytes.Replace(text, []byte("'t'"), []byte("'"+strings.Repeat("t", 1+grubcfg.MaxSize-len(text)+d)+"'"), 1)
		if len(text) != grubcfg.MaxSize+d {
			t.Fatalf("%d bytes", len(text))
		}
		if _, err := grubcfg.Parse(text); (err == nil) != ok {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}

func TestEnv(t *testing.T) {
	for next, head := range map[string]string{"": "# GRUB Environment Block\n#", "mkimage-fox": "# GRUB Environment Block\nnext_entry=mkimage-fox\n#"} {
		b, err := grubcfg.Env(next)
		if err != nil || len(b) != 1024 || !bytes.HasPrefix(b, []byte(head)) || strings.Trim(string(b[len(head):]), "#") != "" {
			t.Errorf("%q: %v\n%s", next, err, b)
		}
	}
	if _, err := grubcfg.Env("a\nb"); err == nil {
		t.Error("an ID of two lines passes")
	}
}

// TestScript lets GRUB's own parser read what is written.
func TestScript(t *testing.T) {
	imgtest.Need(t, "grub-script-check")
	custom, err := grubcfg.EncodeCustom(conf().Entries)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"grub.cfg": confText, "custom.cfg": string(custom), "stub.cfg": string(grubcfg.Stub()),
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("grub-script-check", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s\n%s", name, err, out, text)
		}
	}
}
