package narinfo

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// addressed are objects that Nix 2.8 made: their base names, content addresses,
// and references. Flat and text ones hold "hello", trees a file "a" of "hi".
var addressed = []struct {
	base, ca   string
	references []string
}{
	{"55rlr5xql78vj5r1xpimlfvz0jzzlxn9-flat", "fixed:sha256:" + helloBase32, nil},
	{"b6vlcczw338dw159168bilchz3xdv4is-flat", "fixed:sha1:9m1skbnr5i43n3yypvda5s65vhfwdx5a", nil},
	{"8r5vhzx7yfsila94339fcig66q6jxj38-flat", "fixed:md5:4jqlbi14cxf6wpcajbphm40hax", nil},
	{"4gcnhvblxy69wlrfwwfadiv164adf557-flat", "fixed:sha512:11w1pmwfdpz9pisbhp5qiv38q6dmidq2ipcqykw3p0sb6yrqcij79rwcwcjbxyzwbdal349qbxrncbk7pmd6snljrfpiwv2pljd4wcv", nil},
	{"5na4llrk6ijn2vjbqa94a3jn3vljgl85-tree", "fixed:r:sha256:11yvwhz7prai41mjgl8fs4ccflqk3m7274xc9ds6yn1hj0gy534w", nil},
	{"2w00zmq169aczz5adkxy0bsfj106yd2s-tree", "fixed:r:sha1:wwmi6xvfwc0ghnh1p95dz0hab7xgr59r", nil},
	{"vwq982f5l14vbmdqgl5yqngmikwd2pf5-tree", "fixed:r:md5:7iq4agr4543wpjbc7baj3d7zvd", nil},
	{"wiy8c38zzrkiik4qbk738hcgsn36qqhx-tree", "fixed:r:sha512:3jy8gfsdccn136l7p5giwfdah9npk1i1gwrmhsy90qnzryziig2bww4mynafaxhz299hdig9dkgxj0zzwkw33dfj9r8npzkqa67idkb", nil},
	{"gn76d8dh089anfi3s47pvgsh93l1d1n9-text", "text:sha256:" + helloBase32, nil},
	{"r5xxss0z7sy56pad9v7xf1pm4dkm0qrg-refs", "text:sha256:11f2r901m5y01zzbb172rjj68nhzpli0d70pk5p4z4a5jbqv1z78", []string{"gn76d8dh089anfi3s47pvgsh93l1d1n9-text"}},
	// These two are objects of the golden cache after nix store make-content-addressed.
	{"kf98q0pmnlbwpisy0inz2h1yxalj3xw3-system-path", "fixed:r:sha256:1hfrlg35253ppwnf4snmpbjnq5r74rsggwy7mibmpyjnmc7xwmpb", []string{"95gzj7pir24qb9clhp6f6q8f7s8m6bjc-debian-userland-12"}},
	{"g78y4yhz5m3qpir9wj7dc0camk3mb997-nix-2.8.0", "fixed:r:sha256:0id6albb12v2yiy2lz9qv8s0ybsql08vqhb13dqg1wlclqjnpxbh", []string{"95gzj7pir24qb9clhp6f6q8f7s8m6bjc-debian-userland-12", "li1ca6yyf56d1n32ihsvw743na7mrxmy-busybox-static-1.35.0"}},
}

// selfAddressed is the same for one that refers to itself.
const selfBase, selfCA = "d73hh5n8fl45r2qx1dak07x94x0jnby6-edge-cases", "fixed:r:sha256:0vx60gbms4h7fn6jzx2lsdx6h2sljl7iijhnvz0wjn8aqksgs7rj"

// caInfo returns an Info of a base name, content address and references. The
// hash of the archive is the right one if the address has it.
func caInfo(t testing.TB, base, ca string, references ...string) *Info {
	i := &Info{Path: mustPath(t, base), CA: ca, NarSize: 1}
	for _, r := range references {
		i.References = append(i.References, mustPath(t, r))
	}
	if hash, ok := strings.CutPrefix(ca, "fixed:r:"); ok && strings.HasPrefix(hash, "sha256:") {
		i.NarHash, _ = parseSHA256(hash)
	}
	return i
}

func TestContentAddressed(t *testing.T) {
	sizes := map[string]crypto.Hash{"md5": crypto.MD5, "sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha512": crypto.SHA512}
	for _, a := range addressed {
		c, err := caInfo(t, a.base, a.ca, a.references...).ContentAddressed()
		if err != nil {
			t.Error(err)
			continue
		}
		ofNAR, algorithm, digest := c.Digest()
		words := strings.Split(a.ca, ":")
		if want := sizes[words[len(words)-2]]; ofNAR != strings.HasPrefix(a.ca, "fixed:r:") || algorithm != want || len(digest) != algorithm.New().Size() || c.String() != a.ca {
			t.Errorf("%s: %t, %v, %x, %s", a.ca, ofNAR, algorithm, digest, c)
		}
		// What a flat one is the hash of is known.
		hash := algorithm.New()
		hash.Write([]byte("hello"))
		if !ofNAR && a.references == nil && !slices.Equal(hash.Sum(nil), digest) {
			t.Errorf("%s: digest %x; want %x", a.ca, digest, hash.Sum(nil))
		}
	}
	if c, err := caInfo(t, addressed[0].base, "").ContentAddressed(); c != nil || err != nil {
		t.Errorf("without one: %v, %v; want nil, nil", c, err)
	}
	for _, digest := range []string{helloBase16, strings.ToUpper(helloBase16), helloBase64} {
		if c, err := caInfo(t, addressed[0].base, "fixed:sha256:"+digest).ContentAddressed(); err != nil || c.String() != addressed[0].ca {
			t.Errorf("%s: %v, %v", digest, c, err)
		}
	}
}

// TestContentAddressedChanged changes each thing that a path depends on.
func TestContentAddressedChanged(t *testing.T) {
	for _, a := range addressed {
		good := func() *Info { return caInfo(t, a.base, a.ca, a.references...) }
		renamed, digest, extra, fewer, self := good(), good(), good(), good(), good()
		renamed.Path.Name += "x"
		last := a.ca[len(a.ca)-1:]
		digest.CA = a.ca[:len(a.ca)-1] + map[bool]string{true: "1", false: "0"}[last == "0"]
		digest.NarHash = caInfo(t, a.base, digest.CA).NarHash
		extra.References = append(extra.References, mustPath(t, someBase))
		self.References = append(self.References, self.Path)
		changed := []*Info{renamed, digest, extra, self}
		if len(a.references) > 0 {
			fewer.References = fewer.References[1:]
			changed = append(changed, fewer)
		}
		for n, i := range changed {
			c, err := i.ContentAddressed()
			wantFault(t, err, fault.Input, i.Path.String()+": content address ")
			if c != nil || errors.Is(err, ErrSelfReference) {
				t.Errorf("%s: change %d: %v, %v", a.ca, n, c, err)
			}
		}
		// Another method with the same digest is another path.
		for _, method := range methods {
			i := good()
			i.CA = method + a.ca[strings.LastIndex(a.ca, ":"+lastWord(a.ca, 2))+1:]
			if c, err := i.ContentAddressed(); (err == nil) != (i.CA == a.ca) || (c == nil) != (err != nil) {
				t.Errorf("%s as %s: %v, %v", a.ca, i.CA, c, err)
			}
		}
	}
	i := caInfo(t, addressed[4].base, addressed[4].ca)
	i.NarHash[0]++
	_, err := i.ContentAddressed()
	wantFault(t, err, fault.Input, "is not the hash of the archive")
}

// lastWord returns what follows the n-th colon from the end.
func lastWord(text string, n int) string {
	words := strings.Split(text, ":")
	return strings.Join(words[len(words)-n:], ":")
}

func TestContentAddressedSelf(t *testing.T) {
	i := caInfo(t, selfBase, selfCA, selfBase)
	i.NarHash[0]++ // it is not the hash of the archive: the name of the object in it is left out
	c, err := i.ContentAddressed()
	wantFault(t, err, fault.Input, selfBase+": content address "+selfCA+": is that of an object that refers to itself")
	if c != nil || !errors.Is(err, ErrSelfReference) {
		t.Errorf("%v, %v; want ErrSelfReference", c, err)
	}
	if c, err := caInfo(t, selfBase, selfCA).ContentAddressed(); c != nil || err == nil || errors.Is(err, ErrSelfReference) {
		t.Errorf("without the reference: %v, %v; want another path", c, err)
	}
	// Nix has no path for a text that refers to itself, whatever one may compute.
	for _, kind := range []string{"text", "text:self"} {
		text := caInfo(t, selfBase, "text:sha256:"+helloBase32)
		digest, err := parseDigest(helloBase32, 32)
		if err != nil {
			t.Fatal(err)
		}
		text.Path = makePath(kind, digest, text.Path.Name)
		text.References = []nix.StorePath{text.Path}
		c, err := text.ContentAddressed()
		wantFault(t, err, fault.Input, "a text that refers to itself")
		if c != nil || errors.Is(err, ErrSelfReference) {
			t.Errorf("%s: %v, %v", kind, c, err)
		}
	}
}

func TestParseCARefuses(t *testing.T) {
	const base = "55rlr5xql78vj5r1xpimlfvz0jzzlxn9-flat"
	for _, ca := range []string{
		"x", ":", "fixed", "fixed:", "fixed:r:", "text:", "fixed:sha256", "fixed:sha256:", "fixed:r:sha256:", "fixed::" + helloBase32, "fixed:" + helloBase32,
		"fixed:sha256-" + helloBase64, "fixed:sha256:sha256:" + helloBase32, "fixed:SHA256:" + helloBase32, "Fixed:sha256:" + helloBase32, "sha256:" + helloBase32, "text:" + helloBase32,
		"text:sha1:9m1skbnr5i43n3yypvda5s65vhfwdx5a", "text:r:sha256:" + helloBase32, "fixed:git:sha1:9m1skbnr5i43n3yypvda5s65vhfwdx5a", "fixed:blake3:" + helloBase32, "fixed:r:r:sha256:" + helloBase32,
		"fixed:sha1:" + helloBase32, "fixed:sha512:" + helloBase32, "fixed:md5:" + helloBase32, "fixed:sha256:" + helloBase32 + "0", "fixed:sha256:" + helloBase32[1:],
		"fixed:sha256: " + helloBase32, "fixed:sha256:" + helloBase32 + " ", "fixed:sha256:" + helloBase64[:40] + "\n\n\n\n", "fixed:sha256:z" + helloBase32[1:],
	} {
		c, err := caInfo(t, base, ca).ContentAddressed()
		wantFault(t, err, fault.Input, fmt.Sprintf("%s: content address %.300q: ", nix.StoreDir+"/"+base, ca))
		if c != nil {
			t.Errorf("%s: %v", ca, c)
		}
	}
}
