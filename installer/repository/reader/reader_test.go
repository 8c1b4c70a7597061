package reader

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	//lint:ignore SA1019 as in seal.go
	"golang.org/x/crypto/poly1305"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// The example of RFC 8439, section 2.5.2: the bits of r that must be clear are
// cleared by the package, restic's keys have them set.
func TestPoly1305(t *testing.T) {
	key, err := hex.DecodeString("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
	if err != nil {
		t.Fatal(err)
	}
	var tag [16]byte
	poly1305.Sum(&tag, []byte("Cryptographic Forum Research Group"), (*[32]byte)(key))
	if got, want := hex.EncodeToString(tag[:]), "a8061dc1305136c6c22b8baf0c0127a9"; got != want {
		t.Errorf("tag %s, expected %s", got, want)
	}
}

func TestSealer(t *testing.T) {
	key := opener(t).key
	for name, tt := range map[string]struct {
		sealed []byte
		want   string
	}{
		"right":       {seal(testKeys, []byte("text")), ""},
		"empty":       {seal(testKeys, nil), ""},
		"31 bytes":    {make([]byte, 31), "31 encrypted bytes, expected at least 32"},
		"zero nonce":  {make([]byte, 32), "its nonce is zero"},
		"changed":     {append(seal(testKeys, []byte("text")), 0), errMAC.Error()},
		"another key": {seal(append([]byte("x"), testKeys[1:]...)[:64], []byte("text")), ""}, // the key of the MAC is the same
	} {
		_, err := key.open(tt.sealed)
		if got := fmt.Sprint(err); (err != nil) != (tt.want != "") || err != nil && got != tt.want {
			t.Errorf("%s: %v, expected %q", name, err, tt.want)
		}
	}
}

func TestDecodeKey(t *testing.T) {
	key := func(n, r, p any) string {
		return fmt.Sprintf(`{"kdf":"scrypt","N":%v,"r":%v,"p":%v,"salt":"%s","data":""}`, n, r, p, strings.Repeat("AAAA", 21)+"AA==")
	}
	short := strings.Replace(key(2, 1, 1), "AAAA", "", 1)
	for _, tt := range []struct{ in, want string }{
		{key(2, 1, 1), ""},
		{key(32768, 8, 5), ""}, // what restic chooses
		{key(1, 1, 1), "N 1, expected a power of two"},
		{key(0, 1, 1), "N 0, expected a power of two"},
		{key(-2, 1, 1), "N -2, expected a power of two"},
		{key(3, 1, 1), "N 3, expected a power of two"},
		{key(2, 0, 1), "r 0, p 1"},
		{key(2, 1, 0), "r 1, p 0"},
		{key(2, -1, -1), "r -1, p -1"},
		{key(1<<17, 15, 1), ""},
		{key(1<<17, 16, 1), ""}, // 256 MiB
		{key(1<<17, 17, 1), "takes more than 268435456 bytes"},
		{key(1<<17, 16, 15), ""},
		{key(1<<17, 16, 16), ""}, // 4 GiB
		{key(1<<17, 16, 17), "takes more than 128·N·r·p = 4294967296"},
		{key(int64(1)<<62, int64(1)<<62, 1), "takes more than"},
		{key(2, int64(1)<<62, int64(1)<<62), "takes more than"},
		{key(2, 1, int64(1)<<62), "takes more than"},
		{key(`"2"`, 1, 1), "cannot unmarshal"},
		{short, "salt of 61 bytes, expected 64"},
		{`{"kdf":"argon2"}`, `kdf "argon2", expected scrypt`},
		{`[]`, "cannot unmarshal"},
		{``, "unexpected end"},
	} {
		_, err := decodeKey([]byte(tt.in))
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, expected %q", tt.in, err, tt.want)
		}
	}
}

// Which key a password opens, and what is said when none is.
func TestUnlock(t *testing.T) {
	right, other := keyText(testPassword, 2, 1, 1), keyText("another", 2, 1, 1)
	hostile := keyText(testPassword, 2, 1, 1, func(k map[string]any) { k["N"] = 1 << 30 })
	many := func(n int) (list [][]byte) {
		for i := range n {
			list = append(list, keyText(fmt.Sprint("password ", i), 2, 1, 1))
		}
		return list
	}
	for _, tt := range []struct {
		name string
		keys [][]byte
		code firstboot.Code
		want string
	}{
		{"one", [][]byte{right}, 0, ""},
		{"second", [][]byte{other, right}, 0, ""},
		{"beside a damaged one", [][]byte{[]byte("{"), hostile, right}, 0, ""},
		{"another", [][]byte{other}, firstboot.CodePassword, "none of 1 is opened"},
		{"another beside a damaged one", [][]byte{other, []byte("{")}, firstboot.CodeDamaged, "keys/"},
		{"costs too much", [][]byte{hostile}, firstboot.CodeDamaged, "scrypt"},
		{"no keys", nil, firstboot.CodeDamaged, "keys: has no key"},
		{"after many", append(many(maxKeys-1), right), 0, ""},
		{"999", many(maxKeys - 1), firstboot.CodePassword, "none of 999 is"},
		{"1000", many(maxKeys), firstboot.CodePassword, "none of 1000 is"},
		{"1001", many(maxKeys + 1), firstboot.CodePassword, "none of the first 1000 of 1001 is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t, 2)
			if err := os.RemoveAll(filepath.Join(d.dir, "keys")); err != nil {
				t.Fatal(err)
			}
			d.mkdir("keys")
			d.write("keys/README", []byte("no key"))
			for _, text := range tt.keys {
				d.name("keys", text)
			}
			_, err := d.open()
			if firstboot.CodeOf(err) != tt.code || (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("code %d, %v; expected %d, %q", firstboot.CodeOf(err), err, tt.code, tt.want)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for version, ok := range map[int]bool{0: false, 1: true, 2: true, 3: false} {
		_, err := newDisk(t, version).open()
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("config: format %d, expected 1 or 2", version)) {
			t.Errorf("format %d: %v", version, err)
		}
	}
}

// The hash of a document's file is checked beside its MAC: what is another document
// is none.
func TestRead(t *testing.T) {
	r := opener(t)
	for size, ok := range map[int]bool{9: true, 10: true, 11: false} {
		if err := os.WriteFile(filepath.Join(r.dir, "f"), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.read("f", 10); (err == nil) != ok {
			t.Errorf("%d bytes of 10: %v", size, err)
		}
	}
	if _, err := r.read("none", 10); !errors.Is(err, errAbsent) {
		t.Error(err)
	}
	d := &disk{t, r.dir}
	d.write("index/"+hashed("x").String(), seal(testKeys, []byte(`{"packs":[]}`)))
	if _, err := r.document("index", hashed("x"), maxIndex); err == nil || !strings.Contains(err.Error(), "expected that of its name") {
		t.Error(err)
	}
}

// blob is a member of an index.
func blob(id ID, kind string, more string) string {
	return fmt.Sprintf(`{"id":"%s","type":"%s",%s}`, id, kind, more)
}

func TestDecodeIndex(t *testing.T) {
	a, b := hashed("a"), hashed("b")
	pack := func(blobs ...string) string {
		return fmt.Sprintf(`{"id":"%s","blobs":[%s]}`, hashed("pack"), strings.Join(blobs, ","))
	}
	for _, tt := range []struct{ in, want, err string }{
		{`{"packs":[]}`, "", ""},
		{`{"packs":null}`, "", ""},
		{`{}`, "", ""},
		{`[]`, "", ""},
		{`{"supersedes":["x"],"packs":[` + pack(blob(a, "data", `"offset":0,"length":40`)) + `],"more":{"a":[1]}}`, "a 8", ""},
		{`[` + pack(blob(a, "data", `"offset":0,"length":40`)) + `]`, "a 8", ""},
		{`{"packs":[` + pack(blob(a, "data", `"length":40,"uncompressed_length":99`), blob(b, "tree", `"offset":40,"length":50`)) + `]}`, "a 99", ""},
		{`{"packs":[` + pack(blob(a, "data", `"length":31`)) + `]}`, "", "of 31 bytes, expected at least 32"},
		{`{"packs":[` + pack(blob(a, "data", `"length":32`)) + `]}`, "a 0", ""},
		{`{"packs":[` + pack(blob(a, "data", `"length":4294967295`)) + `]}`, "a 4294967263", ""},
		{`{"packs":[` + pack(blob(a, "data", `"length":4294967296`)) + `]}`, "", "cannot unmarshal"},
		{`{"packs":[` + pack(blob(a, "data", `"length":-1`)) + `]}`, "", "cannot unmarshal"},
		{`{"packs":[` + pack(blob(a, "more", `"length":40`)) + `]}`, "", `of type "more", expected data or tree`},
		{`{"packs":[` + pack(blob(a, "data", `"length":40`), blob(a, "data", `"length":40`)) + `]}`, "a 8", ""},
		{`{"packs":[` + pack(blob(a, "data", `"length":40`), blob(a, "data", `"length":41`)) + `]}`, "", "has 8 bytes, and elsewhere 9"},
		{`{"packs":[{"id":"ab"}]}`, "", "ID of 2 characters, expected 64"},
		{`{"packs":[{"id":7}]}`, "", "expected a string"},
		{`{"packs":{}}`, "", "packs: {, expected a list"},
		{`{"packs":[`, "", "unexpected EOF"},
		{`{"packs":[]`, "", "unexpected EOF"},
		{`{"packs":[]}{}`, "", "more than one value"},
		{`7`, "", "expected an object or a list"},
		{``, "", "unexpected EOF"},
	} {
		var x index
		err := decodeIndex([]byte(tt.in), &x)
		if err == nil {
			err = x.seal()
		}
		got := ""
		if e := x.data.find(a); len(e) > 0 && err == nil {
			got = fmt.Sprint("a ", e[0].size())
		}
		if got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; expected %q, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

// An index of a million blobs takes less than 100 MB, as it is and while it grows.
func TestIndexMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var x index
	const n = 1_000_000
	for i := range uint64(n) {
		var id ID
		for j := range 4 {
			v := (i + uint64(j)) * 0x9e3779b97f4a7c15
			for k := range 8 {
				id[8*j+k] = byte(v >> (8 * k))
			}
		}
		x.data.add(place{id: id, length: uint32(i)})
	}
	if err := x.seal(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d blobs: %d MB held, %d MB allocated in all", n, held/1e6, (after.TotalAlloc-before.TotalAlloc)/1e6)
	if held > 75e6 {
		t.Errorf("%d bytes held, expected at most 75 MB", held)
	}
	runtime.KeepAlive(&x)
}

func TestDecodeTree(t *testing.T) {
	sub := hashed("sub").String()
	for _, tt := range []struct{ in, want, err string }{
		{`{"nodes":[]}`, "", ""},
		{`{"nodes":null}`, "", ""},
		{`{"nodes":[{"name":"a","type":"file","content":null},{"name":"b","type":"dir","subtree":"` + sub + `"}]}`, "a b", ""},
		{`{"nodes":[{"name":"\\xff\\\"\\\\\\n","type":"fifo"}]}`, "\xff\"\\\n", ""},
		{`{"nodes":[{"name":"a\"b","type":"fifo"}]}`, "", "invalid syntax"},
		{`{"nodes":[{"name":"a/b","type":"fifo"}]}`, "", "is none of a directory's entry"},
		{`{"nodes":[{"name":"..","type":"dir"}]}`, "", "is none of a directory's entry"},
		{`{"nodes":[{"name":".","type":"dir"}]}`, "", "is none of a directory's entry"},
		{`{"nodes":[{"name":"","type":"dir"}]}`, "", "is none of a directory's entry"},
		{`{"nodes":[{"name":"a\\x00","type":"file"}]}`, "", "is none of a directory's entry"},
		{`{"nodes":[{"name":"a","type":"dir"}]}`, "", "has no tree"},
		{`{"nodes":[{"name":"a","type":"dir","subtree":"ab"}]}`, "", "ID of 2 characters"},
		{`{"nodes":[{"name":"a","type":"file","size":-1}]}`, "", "cannot unmarshal"},
		{`{"nodes":[{"name":"a"`, "", "EOF"},
	} {
		var names []string
		err := decodeTree([]byte(tt.in), func(n *Node) bool { names = append(names, n.Name); return true })
		if got := strings.Join(names, " "); got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; expected %q, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestNode(t *testing.T) {
	var got *Node
	text := `{"nodes":[{"name":"l","type":"symlink","mode":134218239,"mtime":"2023-07-25T20:01:44.007465374+02:00","uid":1,"gid":2,"user":"u","inode":3,"device_id":4,"links":5,
		"linktarget":"\ufffd","linktarget_raw":"/w==","extended_attributes":[{"name":"user.a","value":"AA=="}],"device":6,"size":7,"content":["` + hashed("c").String() + `"]},{"name":"m"}]}`
	if err := decodeTree([]byte(text), func(n *Node) bool { got = n; return false }); err != nil {
		t.Fatal(err)
	}
	if at := got.MTime.UnixNano(); at != 1690308104007465374 {
		t.Errorf("mtime %d", at)
	}
	want := &Node{
		Name: "l", Type: "symlink", Mode: 134218239, MTime: got.MTime, UID: 1, GID: 2, Size: 7, Links: 5, Inode: 3, DeviceID: 4, Device: 6, Target: "\xff", RawTarget: []byte{0xff},
		Xattrs: []Xattr{{"user.a", []byte{0}}}, Content: []ID{hashed("c")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of a tree in several packs one that can be read is enough.
func TestDuplicates(t *testing.T) {
	tree := `{"nodes":[{"name":"a","type":"file"}]}`
	missing := fmt.Sprintf(`{"id":"%s","blobs":[%s]}`, hashed("gone"), blob(hashed(tree), "tree", `"offset":0,"length":90`))
	for name, tt := range map[string]struct {
		packs func(d *disk) []string
		want  string
	}{
		"one":           {func(d *disk) []string { return []string{d.pack("x", tree)} }, ""},
		"first is gone": {func(d *disk) []string { return []string{missing, d.pack("x", tree)} }, ""},
		"first is another tree": {func(d *disk) []string {
			return []string{strings.ReplaceAll(d.pack("y", "{}"), hashed("{}").String(), hashed(tree).String()), d.pack("", tree)}
		}, ""},
		"all are gone": {func(d *disk) []string { return []string{missing} }, "data/"},
		"another tree": {func(d *disk) []string {
			return []string{strings.ReplaceAll(d.pack("y", "{}"), hashed("{}").String(), hashed(tree).String())}
		}, "has the SHA-256 " + hashed("{}").String()[:8]},
		"in no index": {func(d *disk) []string { return nil }, "is in no file of it"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t, 2)
			for _, p := range tt.packs(d) {
				d.index(p)
			}
			r, err := d.open()
			if err != nil {
				t.Fatal(err)
			}
			n, err := r.child(hashed(tree), "a")
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && n == nil {
				t.Errorf("%v, %v; expected %q", n, err, tt.want)
			}
			if err != nil && (firstboot.CodeOf(err) != firstboot.CodeDamaged || firstboot.HintOf(err) != DamagedHint) {
				t.Errorf("code %d, hint %q", firstboot.CodeOf(err), firstboot.HintOf(err))
			}
		})
	}
}

func TestDecodeSnapshot(t *testing.T) {
	id := hashed("tree")
	for in, want := range map[string]string{
		`{"tree":"` + id.String() + `","time":"2026-11-30T01:02:03+01:00"}`: "", `{"time":"x"}`: "parsing time", `{}`: "has no tree", `{"tree":"ab"}`: "ID of 2 characters", `[]`: "cannot unmarshal", `{"tree":null}`: "has no tree",
	} {
		got, err := decodeSnapshot([]byte(in))
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && *got.Tree != id {
			t.Errorf("%s: %v, %v; expected %q", in, got, err, want)
		}
	}
}

func TestOpenCancelled(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Open(ctx, newDisk(t, 2).dir, []byte(testPassword)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestIndexDamaged(t *testing.T) {
	d := newDisk(t, 2)
	d.name("index", seal(testKeys, []byte(`{`)))
	if _, err := d.open(); firstboot.CodeOf(err) != firstboot.CodeDamaged {
		t.Errorf("ReadIndex: %v, expected damage", err)
	}
}
