package verify

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// member returns a member of a cpio archive.
func member(name, content string) string {
	pad := func(s string) string { return s + strings.Repeat("\x00", -len(s)&3) }
	return pad(header(len(content), len(name)+1)+name+"\x00") + pad(content)
}

func header(size, name int) string {
	return fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, 0o100755, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0)
}

const config1 = `{"version":1,"mounts":[{"subvolume":"@","target":"/","options":[]}]}`

func compressed(t testing.TB, text string) string {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(enc.EncodeAll([]byte(text), nil))
}

func TestReadArchive(t *testing.T) {
	end := member("TRAILER!!!", "")
	ours := member("init", "program") + member("etc/mkimage/init.json", config1) + member("./etc/mkimage/modules", "/a.ko\n") + end
	for _, tt := range []struct {
		name, in string
		files    int
		err      string
	}{
		{"nothing", "", 0, ""},
		{"plain", ours, 3, ""},
		{"two in a row with zeros between", member("x", "1") + end + strings.Repeat("\x00", 300) + ours, 4, ""},
		{"compressed", compressed(t, ours), 3, ""},
		{"microcode, then compressed", member("x", "1") + end + compressed(t, ours), 4, ""},
		{"two in one frame", compressed(t, member("x", "1")+end+"\x00\x00\x00\x00"+ours), 4, ""},
		{"two frames", compressed(t, member("x", "1")+end) + compressed(t, ours), 4, ""},
		{"two frames with zeros between", compressed(t, member("x", "1")+end) + "\x00\x00\x00" + compressed(t, ours) + "\x00", 4, ""},
		{"frame of a repeated byte", compressed(t, member("x", strings.Repeat("a", 1<<20))+end) + compressed(t, ours), 4, ""},
		{"skippable frame", "\x50\x2a\x4d\x18\x01\x00\x00\x00x", 0, "expected a cpio archive"},
		{"frame without a block", compressed(t, ours)[:8], 0, "unexpected EOF"},
		{"frame without its checksum", strings.TrimSuffix(compressed(t, ours), compressed(t, ours)[len(compressed(t, ours))-4:]), 0, "unexpected EOF"},
		{"another compression", "\x1f\x8b\x08\x00", 0, "byte 0: 1f 8b 08 00, expected a cpio archive"},
		{"garbage behind", ours + "x", 0, "expected a cpio archive"},
		{"no end", member("x", "1"), 0, "byte 0: header of a member: EOF"},
		{"ends in a header", "07070100", 0, "header of a member: unexpected EOF"},
		{"ends in a name", header(0, 9) + "abc", 0, "name of a member: unexpected EOF"},
		{"ends in the content", member("x", "content")[:118], 0, "x: unexpected EOF"},
		{"ends in the configuration", member("etc/mkimage/init.json", config1)[:160], 0, "etc/mkimage/init.json: unexpected EOF"},
		{"name of no bytes", header(0, 0), 0, "name of 0 bytes, expected 1 to 4096"},
		{"longest name", member(strings.Repeat("n", 4095), "") + end, 1, ""},
		{"name too long", header(0, 4097) + strings.Repeat("n", 5000), 0, "name of 4097 bytes, expected 1 to 4096"},
		{"no digits", strings.Replace(ours, "00000007", "0000000x", 1), 0, `holds "0000000x", expected 8 hexadecimal digits`},
		{"a sign for a digit", strings.Replace(ours, "00000007", "+0000007", 1), 0, `holds "+0000007"`},
		{"another form", member("x", "") + "070707" + strings.Repeat("0", 200), 0, `begins with "070707", expected "070701"`},
		{"more than fits", member("x", "")[:54] + "ffffffff" + member("x", "")[62:], 0, "more than 1073741824 bytes"},
		{"unknown field", member("etc/mkimage/init.json", `{"colour":1}`) + end, 0, `unknown field "colour"`},
		{"data behind the configuration", member("etc/mkimage/init.json", "{}{}") + end, 0, "data behind its end"},
		{"damaged frame", compressed(t, ours)[:20], 0, "byte 0: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := readArchive([]byte(tt.in), "")
			switch {
			case tt.err != "":
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v; want %q in it", err, tt.err)
				}
			case err != nil:
				t.Error(err)
			case len(a.files) != tt.files:
				t.Errorf("%d files %v; want %d", len(a.files), a.files, tt.files)
			case tt.files >= 3 && (len(a.config.Mounts) != 1 || a.modules != "/a.ko\n" || a.files["init"].size != 7 || a.files["init"].mode != 0o100755):
				t.Errorf("read %+v", a)
			}
		})
	}
}

func TestCheckArchiveInit(t *testing.T) {
	end := member("TRAILER!!!", "") + member("etc/mkimage/init.json", config1) + member("TRAILER!!!", "")
	for _, tt := range []struct {
		mode  string
		found int64
	}{{"000081ed", 0}, {"0000816d", 0}, {"000081e4", 1}, {"000041ed", 1}, {"0000a1ff", 1}} {
		in := strings.Replace(member("init", "program"), "000081ed", tt.mode, 1) + end
		c := &Check{}
		(&run{}).checkArchive(c, "x", []byte(in), "")
		if c.Found != tt.found {
			t.Errorf("/init of mode %s: found %v; want %d", tt.mode, c.Problems, tt.found)
		}
	}
}

func FuzzReadArchive(f *testing.F) {
	end := member("TRAILER!!!", "")
	ours := member("init", "program") + member("etc/mkimage/init.json", config1) + end
	f.Add([]byte(ours))
	f.Add([]byte(member("x", "1") + end + "\x00\x00" + compressed(f, ours)))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := readArchive(in, "")
		if err != nil {
			return
		}
		if len(a.files) > 0 && !bytes.Contains(in, []byte(newcMagic)) && !bytes.Contains(in, zstdMagic) {
			t.Errorf("files %v of nothing", a.files)
		}
	})
}

func TestReportText(t *testing.T) {
	r := Report{Checks: []Check{{Name: "table", Subject: "GPT"}, {Name: "boot", Subject: "x\x1b[31m"}, {Name: "root", Subject: "btrfs", Skipped: "why"}}}
	for i := range maxProblems + 2 {
		r.Checks[1].problem("ESP: /a\nb", "number %d", i)
	}
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"ok      table  GPT\n", "FAILED  boot   x?[31m\n        ESP: /a?b: number 0\n", "        ESP: /a?b: number 99\n        and 2 more\n",
		"skipped root   btrfs\n        not checked: why\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("text %q; want %q in it", got, want)
		}
	}
	if r.Clean() || r.Found() != maxProblems+2 {
		t.Errorf("Clean %v, Found %d", r.Clean(), r.Found())
	}
	if skipped := (&Report{Checks: r.Checks[2:]}); skipped.Clean() || skipped.Found() != 0 {
		t.Error("a report with a check that was not made is clean")
	}
	if empty := (&Report{Checks: r.Checks[:1]}); !empty.Clean() {
		t.Error("a report without problems is not clean")
	}
}

// TestReadArchiveTop: of a prelude what is below its directory counts.
func TestReadArchiveTop(t *testing.T) {
	in := member("init", "the system's own") + member("etc/mkimage/init.json", "not ours") + member("mkimage/init", "program") +
		member("mkimage/etc/mkimage/init.json", config1) + member("mkimage/etc/mkimage/modules", "/a.ko\n") + member("TRAILER!!!", "")
	a, err := readArchive([]byte(in), "mkimage/")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.files) != 5 || len(a.config.Mounts) != 1 || a.modules != "/a.ko\n" || a.files["init"].size != 7 {
		t.Errorf("read %+v", a)
	}
}

// TestCheckCmdlinePrelude: where the root is says one word to us and another to the
// system's own initrd.
func TestCheckCmdlinePrelude(t *testing.T) {
	v := &run{rootPart: &gpt.Partition{GUID: ids.UUID{1}}}
	const id = "PARTUUID=01000000-0000-0000-0000-000000000000"
	for _, tt := range []struct{ name, in, want string }{
		{"ours alone", "root=" + id, ""},
		{"ours alone, another root", "root=fstab", "root=fstab, the root partition is " + id},
		{"with a prelude", "rdinit=/mkimage/init mkimage.root=" + id + " root=fstab", ""},
		{"with a prelude, another root", "rdinit=/mkimage/init mkimage.root=x root=" + id, "mkimage.root=x, the root partition is " + id},
		{"with a prelude that has none", "rdinit=/mkimage/init root=" + id, "mkimage.root=, the root partition is " + id},
	} {
		c := &Check{}
		v.checkCmdline(c, "x", tt.in, nil)
		got := ""
		for _, p := range c.Problems {
			got += p.What
		}
		if got != tt.want {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
}
