package narinfo

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// TestParseFull has every key in it, and some that are not known.
func TestParseFull(t *testing.T) {
	_, secret := secretKey(t, "k-1", 0)
	text := minimal + "Compression: zstd\nFileHash: sha256:" + helloBase16 + "\nFileSize: 77\nNew-Key: a: b\n: \n" +
		"References: " + someBase + "  " + otherBase + " " + someBase + " \nDeriver: " + otherBase + ".drv\nSystem: x\nSystem: y\nCA: fixed:sha256:" + helloBase32 + "\n"
	second, first := "Sig: z:AAAA\n", sign(t, secret, mustParse(t, text))
	got := mustParse(t, text+second+first+second)
	some, other := mustPath(t, someBase), mustPath(t, otherBase)
	digest, err := hex.DecodeString(helloBase16)
	if err != nil {
		t.Fatal(err)
	}
	sum := [32]byte(digest)
	want := &Info{
		Path: some, URL: "nar/x.nar", Compression: "zstd", FileHash: &sum, FileSize: 77, NarHash: sum, NarSize: 120,
		References: []nix.StorePath{other, some}, Deriver: mustPath(t, otherBase+".drv"), Sigs: got.Sigs, CA: "fixed:sha256:" + helloBase32,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var sigs strings.Builder
	for _, s := range got.Sigs {
		fmt.Fprintf(&sigs, "Sig: %s\n", s)
	}
	if sigs.String() != second+first {
		t.Errorf("signatures\n%swant\n%s", sigs.String(), second+first)
	}
	wantPrint := "1;/nix/store/" + someBase + ";sha256:" + helloBase32 + ";120;/nix/store/" + otherBase + ",/nix/store/" + someBase
	if got := got.Fingerprint(); got != wantPrint {
		t.Errorf("fingerprint %s; want %s", got, wantPrint)
	}
}

func TestParseMinimal(t *testing.T) {
	for _, more := range []string{"", "Compression: \n", "References: \n", "Deriver: unknown-deriver\n", "CA: \n", "FileSize: 0\n", "Key:  \t: value\n"} {
		i := mustParse(t, minimal+more)
		if i.Compression != "bzip2" || i.FileHash != nil || i.FileSize != 0 || i.References != nil || !i.Deriver.IsZero() || i.Sigs != nil || i.CA != "" {
			t.Errorf("%q: %+v", more, i)
		}
		if got, want := i.Fingerprint(), "1;/nix/store/"+someBase+";sha256:"+helloBase32+";120;"; got != want {
			t.Errorf("%q: fingerprint %s; want %s", more, got, want)
		}
	}
	for _, name := range []string{"none", "xz", "zstd", "bzip2", "gzip", "br", "lzip", "lz4"} {
		if i := mustParse(t, minimal+"Compression: "+name+"\n"); i.Compression != name {
			t.Errorf("compression %q; want %q", i.Compression, name)
		}
	}
	for _, hash := range []string{"sha256:" + helloBase32, "sha256:" + helloBase16, "sha256:" + strings.ToUpper(helloBase16), "sha256:" + helloBase64, "sha256-" + helloBase64} {
		if i := mustParse(t, strings.Replace(minimal, "sha256:"+helloBase32, hash, 1)); hex.EncodeToString(i.NarHash[:]) != helloBase16 {
			t.Errorf("%s: %x; want %s", hash, i.NarHash, helloBase16)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	drop := func(key string) string {
		i := strings.Index(minimal, key)
		return minimal[:i] + minimal[i+strings.Index(minimal[i:], "\n")+1:]
	}
	hash := func(h string) string { return strings.Replace(minimal, "sha256:"+helloBase32, h, 1) }
	tests := []struct{ name, text, want string }{
		{"empty", "", "is empty"},
		{"cut off", minimal[:len(minimal)-1], "line 4: is cut off"},
		{"page", "<html>\n", `line 1: "<html>": expected KEY`},
		{"no space", minimal + "Compression:xz\n", "line 5: "},
		{"no space and no value", minimal + "References:\n", "line 5: "},
		{"other colon first", minimal + "A:B: c\n", "line 5: "},
		{"empty line", minimal + "\n", "line 5: "},
		{"carriage return", minimal + "Key: a\r\n", `line 5: "Key: a\r": byte 0x0d`},
		{"NUL", minimal + "Key: a\x00b\n", "byte 0x00"},
		{"no path", drop("StorePath"), `no line "StorePath: "`},
		{"no URL", drop("URL"), `no line "URL: "`},
		{"no hash", drop("NarHash"), `no line "NarHash: "`},
		{"no size", drop("NarSize"), `no line "NarSize: "`},
		{"base name", strings.Replace(minimal, "/nix/store/", "", 1), "line 1: StorePath: "},
		{"other store", strings.Replace(minimal, "/nix/", "/gnu/", 1), "line 1: StorePath: "},
		{"path of a reference", minimal + "References: /nix/store/" + otherBase + "\n", "line 5: References: "},
		{"tab between references", minimal + "References: " + someBase + "\t" + otherBase + "\n", "line 5: References: "},
		{"no deriver", minimal + "Deriver: \n", "line 5: Deriver: "},
		{"no hash type", hash(helloBase32), "line 3: NarHash: "},
		{"sha1", hash("sha1:" + helloBase32[:32]), "expected sha256:"},
		{"SHA256", hash("SHA256:" + helloBase32), "expected sha256:"},
		{"short base 32", hash("sha256:" + helloBase32[1:]), "digest of 51 digits"},
		{"long base 32", hash("sha256:0" + helloBase32), "digest of 53 digits"},
		{"beyond base 32", hash("sha256:z" + helloBase32[1:]), "NarHash"},
		{"letter of no base 32", hash("sha256:e" + helloBase32[1:]), "NarHash"},
		{"base 16", hash("sha256:g" + helloBase16[1:]), "NarHash"},
		{"base 16 as SRI", hash("sha256-" + helloBase16), "expected sha256:"},
		{"SRI without padding", hash("sha256-" + helloBase64[:43]), "expected sha256:"},
		{"base 64 with bits behind", hash("sha256:" + helloBase64[:42] + "R="), "NarHash"},
		{"FileHash", minimal + "FileHash: \n", "line 5: FileHash: "},
		{"signature without name", minimal + "Sig: :AAAA\n", "line 5: Sig: "},
		{"signature without data", minimal + "Sig: a:\n", "line 5: Sig: "},
		{"signature without colon", minimal + "Sig: AAAA\n", "line 5: Sig: "},
		{"signature with a space", minimal + "Sig: a b:AAAA\n", "line 5: Sig: "},
		{"signature with an escape", minimal + "Sig: a\x1b[m:AAAA\n", "line 5: Sig: "},
		{"signature not canonical", minimal + "Sig: a:AAB=\n", "line 5: Sig: "},
	}
	for _, key := range []string{"StorePath", "URL", "NarHash", "NarSize"} {
		i := strings.Index(minimal, key)
		line := minimal[i : i+strings.Index(minimal[i:], "\n")+1]
		tests = append(tests, struct{ name, text, want string }{key + " twice", minimal + line, "line 5: " + key + " again, the first is in line "})
	}
	for _, line := range []string{"Compression: xz\n", "FileHash: sha256:" + helloBase32 + "\n", "FileSize: 1\n", "References: \n", "Deriver: unknown-deriver\n", "CA: \n"} {
		tests = append(tests, struct{ name, text, want string }{line + " twice", minimal + line + line, "again, the first is in line 5"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info, err := Parse("test.narinfo", []byte(tt.text))
			wantFault(t, err, fault.Input, tt.want)
			if info != nil || err != nil && !strings.HasPrefix(err.Error(), "test.narinfo: ") {
				t.Errorf("%+v, %v; want nil and an error of the file", info, err)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	pad := func(size int) string { return minimal + "K: " + strings.Repeat("x", size-len(minimal)-4) + "\n" }
	size := func(key string, n uint64) string {
		return strings.Replace(minimal, "NarSize: 120\n", "", 1) + strings.Replace("NarSize: 1\nFileSize: 1\n", key+": 1\n", fmt.Sprintf("%s: %d\n", key, n), 1)
	}
	sigs := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "Sig: k%d:AAAA\n", i)
		}
		return minimal + b.String()
	}
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"file -1", pad(MaxSize - 1), true}, {"file 0", pad(MaxSize), true}, {"file +1", pad(MaxSize + 1), false},
		{"NarSize low -1", size("NarSize", 0), false}, {"NarSize low 0", size("NarSize", 1), true}, {"NarSize low +1", size("NarSize", 2), true},
		{"NarSize high -1", size("NarSize", 1<<62-2), true}, {"NarSize high 0", size("NarSize", 1<<62-1), true}, {"NarSize high +1", size("NarSize", 1<<62), false},
		{"NarSize of 63 bits", size("NarSize", 1<<63-1), false}, {"NarSize of 64 bits", size("NarSize", 1<<64-1), false},
		{"NarSize below 0", strings.Replace(minimal, "120", "-1", 1), false}, {"NarSize +", strings.Replace(minimal, "120", "+1", 1), false},
		{"NarSize space", strings.Replace(minimal, "120", " 1", 1), false}, {"NarSize hex", strings.Replace(minimal, "120", "0x1", 1), false},
		{"FileSize low 0", size("FileSize", 0), true}, {"FileSize low -1", minimal + "FileSize: -1\n", false},
		{"FileSize high -1", size("FileSize", 1<<62-2), true}, {"FileSize high 0", size("FileSize", 1<<62-1), true}, {"FileSize high +1", size("FileSize", 1<<62), false},
		{"signatures -1", sigs(maxSigs - 1), true}, {"signatures 0", sigs(maxSigs), true}, {"signatures +1", sigs(maxSigs + 1), false},
	}
	for _, tt := range tests {
		_, err := Parse("test.narinfo", []byte(tt.text))
		if tt.ok && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !tt.ok {
			wantFault(t, err, fault.Input, "expected")
		}
	}
}

func TestURL(t *testing.T) {
	for _, text := range []string{
		"x.nar", "nar/x.nar.xz", "a/b/c/d", "...", "a/..b", "nar/a:b", "nar/%41+%3f.nar", "nar/~x,y;z=@!$&'()*", "nar/%ff", "..%20", "nar/x?a=b", "nar/x.nar?hash=0d816jh9/../x",
	} {
		if i := mustParse(t, strings.Replace(minimal, "nar/x.nar", text, 1)); i.URL != text {
			t.Errorf("URL %q; want %q", i.URL, text)
		}
	}
	for _, text := range []string{
		"", "/", "/nar/x", "//host/x", "http://host/x", "https:x", "file:///etc/passwd", "c:x", ":x", "nar/", "nar//x", "nar/./x", "./x", ".", "..", "../x", "nar/..", "nar/../x", "nar/../../x",
		"nar/%2e%2e/x", "nar/%2E%2e/x", "nar/.%2e/x", "%2e%2e", "%2e", "nar/%2e/x", "nar%2fx", "nar/..%2f..%2fx", "nar%2Fx", "nar/%5cx", "nar/%252e%252e/x", "nar/%00", "nar/%0a", "nar/%7f", "nar/%1b",
		"nar/%", "nar/%2", "nar/%zz", "nar/x?", "?a", "nar/x?a?b", "nar/x?a b", "nar/..?a", "../x?a", "nar/%2e%2e?a", "/x?a", "nar/x#a", "#a", `nar\x`, `..\x`, "nar/a b", " nar/x", "nar/x ", "nar/\tx", "nar/\x7fx", "nar/\x1bx", "nar/\u00e9", "nar/\xff",
	} {
		_, err := Parse("test.narinfo", []byte(strings.Replace(minimal, "nar/x.nar", text, 1)))
		wantFault(t, err, fault.Input, "line 2: URL: ")
	}
}

// TestGolden compares what we read with what Nix wrote beside it: dump-db is of
// the same objects, from the database that the caches were made of.
func TestGolden(t *testing.T) {
	type entry struct {
		hash, size, deriver string
		references          []string
	}
	want := map[string]entry{}
	lines := strings.Split(strings.TrimSpace(readFile(t, golden+"dump-db")), "\n")
	for len(lines) > 0 {
		n := 0
		if _, err := fmt.Sscan(lines[4], &n); err != nil {
			t.Fatal(err)
		}
		want[lines[0]] = entry{lines[1], lines[2], lines[3], append([]string{}, lines[5:5+n]...)}
		lines = lines[5+n:]
	}
	for name, text := range goldenInfos(t) {
		i := mustParse(t, text)
		got := entry{hex.EncodeToString(i.NarHash[:]), fmt.Sprint(i.NarSize), i.Deriver.String(), []string{}}
		for _, p := range i.References {
			got.references = append(got.references, p.String())
		}
		if diff := cmp.Diff(want[i.Path.String()], got, cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if filepath.Base(name) != i.Path.Hash+".narinfo" || !strings.Contains(name, i.Compression) || !strings.Contains(i.URL, ".nar.") || i.FileHash == nil || i.FileSize == 0 {
			t.Errorf("%s: %+v", name, i)
		}
	}
}
