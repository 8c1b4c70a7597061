package narinfo

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

const golden = "../testdata/golden/"

// Public facts about an object of cache.nixos.org, and the key of that cache.
const (
	nixosName = "cache.nixos.org-1"
	nixosKey  = nixosName + ":6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
	nixosInfo = `StorePath: /nix/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin
URL: nar/05ra3y72i3qjri7xskf9qj8kb29r6naqy1sqpbs3azi3xcigmj56.nar.xz
Compression: xz
NarHash: sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0
NarSize: 196040
References: 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0 6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115 j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12 yxvjs9drzsphm9pcf42a4byzj1kb9m7k-openssl-1.1.1n
Sig: cache.nixos.org-1:TsTTb3WGTZKphvYdBHXwo6weVILmTytUjLB+vcX89fOjjRicCHmKA4RCPMVLkj6TMJ4GMX3HPVWRdD1hkeKZBQ==
`
)

// Spellings of the SHA-256 of "hello".
const (
	helloBase32 = "094qif9n4cq4fdg459qzbhg1c6wywawwaaivx0k0x8xhbyx4vwic"
	helloBase16 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	helloBase64 = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
)

const (
	someBase  = "syd87l2rxw8cbsxmxl853h0r6pdwhwjr-some"
	otherBase = "6w8g7njm4mck5dmjxws0z1xnrxvl81xa-other"
	minimal   = "StorePath: /nix/store/" + someBase + "\nURL: nar/x.nar\nNarHash: sha256:" + helloBase32 + "\nNarSize: 120\n"
)

func mustParse(t testing.TB, text string) *Info {
	t.Helper()
	info, err := Parse("test.narinfo", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func mustKeys(t testing.TB, text ...string) Keys {
	t.Helper()
	k, err := ParseKeys(text...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustPath(t testing.TB, base string) nix.StorePath {
	t.Helper()
	p, err := nix.ParseBase(base)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// secretKey returns a key pair that depends on seed only.
func secretKey(t testing.TB, name string, seed byte) (public string, secret signature.SecretKey) {
	t.Helper()
	raw := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), ed25519.SeedSize)))
	secret, err := signature.LoadSecretKey(name + ":" + base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	return secret.ToPublicKey().String(), secret
}

// sign returns the line that signs i.
func sign(t testing.TB, secret signature.SecretKey, i *Info) string {
	t.Helper()
	sig, err := secret.Sign(nil, i.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	return "Sig: " + sig.String() + "\n"
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// goldenInfos returns the narinfo files of the golden caches by name.
func goldenInfos(t testing.TB) map[string]string {
	t.Helper()
	names, err := filepath.Glob(golden + "cache-*/*.narinfo")
	if err != nil || len(names) != 20+6 {
		t.Fatalf("%d golden files, %v; want 26", len(names), err)
	}
	texts := map[string]string{}
	for _, name := range names {
		texts[name] = readFile(t, name)
	}
	return texts
}

// wantFault reports an error that is not of the class or lacks a text.
func wantFault(t testing.TB, err error, class fault.Class, text string) {
	t.Helper()
	if fault.ClassOf(err) != class || err == nil || !strings.Contains(err.Error(), text) || fault.HintOf(err) == "" {
		t.Errorf("error %v of class %d with hint %q; want one of class %d with a hint that says %q", err, fault.ClassOf(err), fault.HintOf(err), class, text)
	}
}
