package narinfo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestParseKeys(t *testing.T) {
	one, _ := secretKey(t, "one", 1)
	two, _ := secretKey(t, "two", 2)
	for _, text := range [][]string{{one, two}, {one + " " + two}, {"\t" + one + "\n\r\n" + two + " "}, {"", two, "", one, one}} {
		k := mustKeys(t, text...)
		if len(k.byName) != 2 || k.byName["one"].String() != one || k.byName["two"].String() != two {
			t.Errorf("%q: %v", text, k)
		}
	}
	if k := mustKeys(t); len(k.byName) != 0 {
		t.Errorf("keys of nothing: %v", k)
	}
	base64 := strings.TrimPrefix(one, "one:")
	tests := []struct{ name, text, want string }{
		{"no colon", two + " one", `trusted public key 2: "one", expected NAME:BASE64`},
		{"no name", ":" + base64, `trusted public key 1: ""`},
		{"no data", "one:", `"one": 0 bytes, expected 32`},
		{"commas", one + "," + two, `"one": `},
		{"short", "one:AAAA", `"one": 3 bytes, expected 32`},
		{"31 bytes", "one:" + strings.Repeat("A", 40) + "AA==", `"one": 31 bytes`},
		{"33 bytes", "one:" + strings.Repeat("A", 44), `"one": 33 bytes`},
		{"no padding", strings.TrimSuffix(one, "="), `"one": `},
		{"not base 64", "one:" + strings.Repeat("!", 44), `"one": `},
	}
	for _, tt := range tests {
		_, err := ParseKeys(tt.text)
		wantFault(t, err, fault.Config, tt.want)
	}
}

// TestParseKeysSecret: a secret key that is given by mistake is not printed.
func TestParseKeysSecret(t *testing.T) {
	_, secret := secretKey(t, "one", 1)
	data := strings.TrimPrefix(secret.String(), "one:")
	for _, text := range []string{"one:" + data, data, data[:44], "one:" + data + "!", "one:" + data[:80]} {
		_, err := ParseKeys(text)
		wantFault(t, err, fault.Config, "trusted public key 1")
		if err != nil && strings.Contains(err.Error(), data[:8]) {
			t.Errorf("prints the secret: %v", err)
		}
	}
	_, err := ParseKeys(secret.String())
	wantFault(t, err, fault.Config, `"one": is a secret key`)
}

func TestVerify(t *testing.T) {
	one, secretOne := secretKey(t, "one", 1)
	two, secretTwo := secretKey(t, "two", 2)
	alias, secretAlias := secretKey(t, "one", 3)
	info := mustParse(t, minimal)
	sigOne, sigTwo, sigAlias := sign(t, secretOne, info), sign(t, secretTwo, info), sign(t, secretAlias, info)
	other := sign(t, secretOne, mustParse(t, strings.Replace(minimal, "120", "121", 1)))
	tests := []struct {
		name, sigs string
		keys       []string
		by, want   string // want is of the error
	}{
		{"signed", sigOne, []string{one, two}, "one", ""},
		{"first in the file", sigTwo + sigOne, []string{one, two}, "two", ""},
		{"only one trusted", sigTwo + sigOne, []string{one}, "one", ""},
		{"wrong and right", other + sigTwo, []string{one, two}, "two", ""},
		{"wrong and right by one key", other + sigOne, []string{one}, "one", ""},
		{"other kind and right", "Sig: one:AAAA\n" + sigOne, []string{one}, "one", ""},
		{"first key of a name", sigOne, []string{one, alias}, "one", ""},
		{"second key of a name", sigAlias, []string{one, alias}, "", `wrong signature by the trusted key "one"`},
		{"not signed", "", []string{one}, "", "is not signed"},
		{"unknown", sigTwo + sigOne, []string{nixosKey}, "", `signed by "two", "one" only`},
		{"no keys", sigOne, nil, "", `signed by "one" only`},
		{"wrong", other, []string{one}, "", `wrong signature by the trusted key "one"`},
		{"wrong and unknown", sigTwo + other, []string{one}, "", `wrong signature by the trusted key "one"`},
		{"too short", "Sig: one:AAAA\n", []string{one}, "", `wrong signature by the trusted key "one"`},
		{"name of another", strings.Replace(sigTwo, "two", "one", 1), []string{one, two}, "", `wrong signature by the trusted key "one"`},
		{"many", "Sig: a:AAAA\nSig: b:AAAA\nSig: c:AAAA\nSig: d:AAAA\nSig: e:AAAA\n", []string{one}, "", `signed by "a", "b", "c", "d" and 1 more only`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			by, err := mustKeys(t, tt.keys...).Verify(mustParse(t, minimal+tt.sigs))
			if by != tt.by || (err == nil) != (tt.want == "") {
				t.Errorf("by %q, %v; want %q", by, err, tt.by)
			}
			if tt.want != "" {
				wantFault(t, err, fault.Input, "/nix/store/"+someBase+": "+tt.want)
			}
		})
	}
}

// TestVerifyHints: what to type is not the same for an unknown key and a wrong
// signature.
func TestVerifyHints(t *testing.T) {
	one, secret := secretKey(t, "one", 1)
	sig := sign(t, secret, mustParse(t, strings.Replace(minimal, "120", "121", 1)))
	_, unknown := Keys{}.Verify(mustParse(t, minimal+sig))
	_, wrong := mustKeys(t, one).Verify(mustParse(t, minimal+sig))
	if h := fault.HintOf(unknown); !strings.Contains(h, "--set nix.trusted-public-keys=NAME:BASE64") {
		t.Errorf("hint for an unknown key: %s", h)
	}
	if h := fault.HintOf(wrong); strings.Contains(h, "--set") || !strings.Contains(h, "another cache") {
		t.Errorf("hint for a wrong signature: %s", h)
	}
}

// TestVerifyNixOS checks a signature of the real cache.
func TestVerifyNixOS(t *testing.T) {
	i := mustParse(t, nixosInfo)
	if by, err := mustKeys(t, nixosKey).Verify(i); by != nixosName || err != nil {
		t.Errorf("by %q, %v", by, err)
	}
	i.NarSize++
	_, err := mustKeys(t, nixosKey).Verify(i)
	wantFault(t, err, fault.Input, "wrong signature")
}

// signed is what a signature covers.
func signed(i *Info) *Info {
	return &Info{Path: i.Path, NarHash: i.NarHash, NarSize: i.NarSize, References: i.References}
}

// TestVerifyMutations changes golden files in many ways: what is still accepted
// says of the object what was signed.
func TestVerifyMutations(t *testing.T) {
	keys := mustKeys(t, readFile(t, golden+"key.pub"))
	parsed, accepted := 0, 0
	for name, text := range goldenInfos(t) {
		original := mustParse(t, text)
		if by, err := keys.Verify(original); by != "fixture-1" || err != nil {
			t.Errorf("%s: by %q, %v", name, by, err)
		}
		try := func(what string, at int, changed string) {
			i, err := Parse(name, []byte(changed))
			if err != nil {
				return
			}
			parsed++
			if _, err := keys.Verify(i); err != nil {
				return
			}
			accepted++
			if diff := cmp.Diff(signed(original), signed(i)); diff != "" {
				t.Errorf("%s: %s at %d is accepted, -original +changed:\n%s", name, what, at, diff)
			}
		}
		for at := 0; at < len(text); at += 5 {
			for _, bits := range []byte{1, 2, 4, 0x20, 0x40} {
				changed := []byte(text)
				changed[at] ^= bits
				try("flip", at, string(changed))
			}
			try("cut", at, text[:at]+text[at+1:])
			try("doubled", at, text[:at]+text[at:at+1]+text[at:])
		}
		lines := strings.SplitAfter(text, "\n")
		for n := range lines {
			try("line dropped", n, strings.Join(lines[:n], "")+strings.Join(lines[n+1:], ""))
			try("line doubled", n, strings.Join(lines[:n+1], "")+strings.Join(lines[n:], ""))
			for to := range n {
				lines[n], lines[to] = lines[to], lines[n]
				try("lines swapped", n, strings.Join(lines, ""))
				lines[n], lines[to] = lines[to], lines[n]
			}
		}
	}
	// Without these the test would pass when nothing is read at all.
	if parsed < 2000 || accepted < 600 || accepted == parsed {
		t.Errorf("%d changed files were read, %d accepted", parsed, accepted)
	}
}
