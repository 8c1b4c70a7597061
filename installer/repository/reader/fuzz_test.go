package reader

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzDecodeKey(f *testing.F) {
	f.Add(keyText(testPassword, 2, 1, 1))
	f.Add(keyText("another", 4, 2, 3))
	f.Add([]byte(`{"kdf":"scrypt","N":4294967296,"r":4294967296,"p":4294967296}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := decodeKey(text)
		if err != nil {
			return
		}
		if k.N*k.R > maxKeyMemory/128 || k.N*k.R*k.P > maxKeyWork/128 {
			t.Errorf("N %d, r %d, p %d", k.N, k.R, k.P)
		}
		if k.N*k.R*k.P < 1<<10 {
			_, _ = k.open([]byte(testPassword))
		}
	})
}

func FuzzDecodeMaster(f *testing.F) {
	f.Add([]byte(`{"mac":{"k":"evFWd9wWlndL9jc501268g==","r":"E9eEDnSJZgqwTOkDtOp+Dw=="},"encrypt":"UQCqa0lKZ94PygPxMRqkePTZnHRYh1k1pX2k2lM2v3Q="}`))
	f.Add([]byte(`{"mac":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := decodeMaster(text); err == nil {
			_, _ = s.open([]byte(strings.Repeat("x", 64)))
		}
	})
}

func FuzzDecodeIndex(f *testing.F) {
	f.Add([]byte(`{"packs":[{"id":"` + hashed("p").String() + `","blobs":[` + blob(hashed("a"), "data", `"offset":0,"length":40,"uncompressed_length":99`) + `,` + blob(hashed("b"), "tree", `"offset":0,"length":40`) + `]}]}`))
	f.Add([]byte(`[{"id":"` + hashed("p").String() + `","blobs":[]}]`))
	f.Add([]byte(`{"supersedes":[null],"packs":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var x index
		if decodeIndex(text, &x) != nil || x.seal() != nil {
			return
		}
		for _, b := range x.trees.buckets {
			for _, e := range b {
				if found := x.trees.find(e.id); int(e.pack) >= len(x.packs) || len(found) == 0 {
					t.Errorf("tree %v: %v", e, found)
				}
			}
		}
	})
}

func FuzzDecodeTree(f *testing.F) {
	f.Add([]byte(`{"nodes":[{"name":"\\xff","type":"file","mode":420,"mtime":"2014-12-06T17:50:23.34513538+01:00","uid":1000,"gid":100,"inode":4,"size":4,"links":2,"content":["` + hashed("c").String() + `"]},
		{"name":"l","type":"symlink","linktarget":"x","linktarget_raw":"/w==","extended_attributes":[{"name":"user.a","value":"AA=="}]}]}`))
	f.Add([]byte(`{"nodes":[{"name":"d","type":"dir","subtree":"` + hashed("t").String() + `"}]}`))
	f.Add([]byte(`{"nodes":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = decodeTree(text, func(n *Node) bool {
			if n.Name == "" || n.Name == ".." || strings.ContainsAny(n.Name, "/\x00") || n.Type == "dir" && n.Subtree == nil {
				t.Errorf("node %+v", n)
			}
			return true
		})
	})
}

// FuzzBlob is of the encrypted text of a pack, sealed by who knows the keys, and of
// what an index says of it.
func FuzzBlob(f *testing.F) {
	f.Add([]byte(`{"nodes":[]}`), uint32(0), uint32(0), false)
	f.Add(compress([]byte(`{"nodes":[]}`)), uint32(0), uint32(12), false)
	f.Add([]byte("\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\xff"), uint32(0), uint32(1<<31), false)
	f.Add([]byte("x"), uint32(1<<31), uint32(1), true)
	r := opener(f)
	f.Fuzz(func(t *testing.T, text []byte, offset, plain uint32, longer bool) {
		sealed := seal(testKeys, text)
		r.index.packs = []ID{sha256.Sum256(sealed)}
		name := r.index.packs[0].String()
		(&disk{t, r.dir}).write("data/"+name[:2]+"/"+name, sealed)
		defer os.Remove(filepath.Join(r.dir, "data", name[:2], name))
		b := place{offset: offset, length: uint32(len(sealed)), plain: plain % (1 << 20)}
		if longer {
			b.length = 1 << 31
		}
		if got, err := r.blob(b, "tree"); err == nil {
			t.Errorf("%d bytes, whose hash is 0", len(got))
		}
		b.id = sha256.Sum256(text)
		if got, err := r.blob(b, "tree"); err == nil && ID(sha256.Sum256(got)) != b.id {
			t.Errorf("%d bytes of another hash", len(got))
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add(append([]byte{2}, compress([]byte(`{"packs":[]}`))...))
	f.Add([]byte("\x02\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\xff"))
	r := opener(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		const most = 1 << 16
		got, err := r.unpack(text, most)
		if err == nil && len(got) > max(most, len(text)) {
			t.Errorf("%d bytes", len(got))
		}
	})
}
