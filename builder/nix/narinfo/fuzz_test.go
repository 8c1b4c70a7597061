package narinfo

import (
	"bytes"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	gonix "github.com/nix-community/go-nix/pkg/narinfo"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// FuzzParse: what is accepted holds what the doc comments say, and where go-nix
// reads it too, it reads the same.
func FuzzParse(f *testing.F) {
	for _, text := range goldenInfos(f) {
		f.Add([]byte(text))
	}
	f.Add([]byte(nixosInfo))
	f.Add([]byte(minimal + "FileHash: sha256-" + helloBase64 + "\nFileSize: 7\nReferences: " + someBase + " " + otherBase + "\nDeriver: unknown-deriver\nCA: text:sha256:" + helloBase32 + "\nSig: a:AAAA\n"))
	f.Add([]byte(strings.Replace(minimal, "nar/x", "nar/%2e%2E/x", 1)))
	keys := mustKeys(f, nixosKey, readFile(f, golden+"key.pub"))
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := Parse("x", data)
		if err != nil {
			if i != nil || fault.ClassOf(err) != fault.Input || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Fatalf("%v, %v", i, err)
			}
			return
		}
		plain, err := url.PathUnescape(i.URL)
		u, err2 := url.Parse("https://host/cache/" + i.URL)
		if err != nil || err2 != nil || u.Host != "host" || u.RawQuery != "" || u.Fragment != "" || path.Join("/cache", plain) != "/cache/"+plain || path.Join("/cache", i.URL) != "/cache/"+i.URL {
			t.Fatalf("URL %q is accepted: %v, %v", i.URL, err, err2)
		}
		if i.NarSize < 1 || i.FileSize < 0 || i.NarSize >= maxBytes || i.FileSize >= maxBytes || i.Compression == "" || i.Path.IsZero() {
			t.Fatalf("accepted: %+v", i)
		}
		if !slices.IsSortedFunc(i.References, nix.StorePath.Compare) || len(slices.Compact(slices.Clone(i.References))) != len(i.References) {
			t.Fatalf("references %v", i.References)
		}
		if strings.ContainsAny(i.Fingerprint(), "\n ") || strings.Count(i.Fingerprint(), ";") != 4 {
			t.Fatalf("fingerprint %q", i.Fingerprint())
		}
		for _, s := range i.Sigs {
			if !bytes.Contains(data, []byte("\nSig: "+s.String()+"\n")) && !bytes.HasPrefix(data, []byte("Sig: "+s.String()+"\n")) {
				t.Fatalf("signature %q is not in the text", s)
			}
		}
		_, _ = keys.Verify(i)
		_, _ = i.ContentAddressed()
		// go-nix keeps duplicates among references, and the order.
		if theirs, err := gonix.Parse(bytes.NewReader(data)); err == nil {
			theirs.References = slices.DeleteFunc(theirs.References, func(r string) bool { return r == "" })
			slices.Sort(theirs.References)
			theirs.References = slices.Compact(theirs.References)
			compareGoNix(t, i, theirs)
		}
	})
}

// FuzzKeys: what is accepted has names, and no error has a newline or a long word.
func FuzzKeys(f *testing.F) {
	one, secret := secretKey(f, "one", 1)
	for _, text := range []string{"", nixosKey, nixosKey + "\n" + one, secret.String(), "a", ":", "a:AAAA"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKeys(text)
		if err != nil {
			if fault.ClassOf(err) != fault.Config || len(k.byName) != 0 || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Fatalf("%v, %q", k, err)
			}
			return
		}
		for name, key := range k.byName {
			if name == "" || key.Name != name || len(key.Data) != keySize || !strings.Contains(text, key.String()) {
				t.Fatalf("accepted: %+v", key)
			}
		}
		_, _ = k.Verify(&Info{Sigs: mustParse(t, nixosInfo).Sigs})
	})
}

// FuzzCacheInfo: what is accepted is of the one store.
func FuzzCacheInfo(f *testing.F) {
	f.Add([]byte("StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n"))
	f.Add([]byte("StoreDir: /gnu/store\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := ParseCacheInfo("x", data)
		if err != nil {
			if info != nil || fault.ClassOf(err) != fault.Input || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Fatalf("%v, %q", info, err)
			}
		} else if info.StoreDir != nix.StoreDir || !bytes.Contains(data, []byte("StoreDir:")) {
			t.Fatalf("accepted: %+v", info)
		}
	})
}

// FuzzCA: what is accepted has one canonical text, which means the same.
func FuzzCA(f *testing.F) {
	for _, a := range addressed {
		f.Add(a.ca, len(a.references) > 0)
	}
	f.Add("fixed:sha256:"+helloBase64, false)
	f.Add("fixed:r:sha256:"+helloBase16, true)
	f.Fuzz(func(t *testing.T, text string, self bool) {
		i := caInfo(t, someBase, text)
		if self {
			i.References = []nix.StorePath{i.Path}
		}
		if c, err := i.ContentAddressed(); (c == nil) != (err != nil || text == "") || err != nil && (fault.ClassOf(err) != fault.Input || strings.ContainsAny(err.Error(), "\n\x00\x1b")) {
			t.Fatalf("%v, %v", c, err)
		}
		c, err := parseCA(text)
		if err != nil {
			return
		}
		again, err := parseCA(c.String())
		_, algorithm, digest := c.Digest()
		if err != nil || again.String() != c.String() || len(digest) != algorithm.Size() || !algorithm.Available() {
			t.Fatalf("%q: %s, then %v, %v", text, c, again, err)
		}
	})
}
