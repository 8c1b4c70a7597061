package signature_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"aead.dev/minisign"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

var message = []byte("one line of JSON\n")

func newKey(t testing.TB) *signature.Secret {
	t.Helper()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key *signature.Secret, comment string) []byte {
	t.Helper()
	sig, err := key.Sign(message, comment)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// edit replaces something in a signature that must be there.
func edit(t *testing.T, sig []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(sig, []byte(old)) {
		t.Fatalf("%q is not in %q", old, sig)
	}
	return bytes.Replace(sig, []byte(old), []byte(new), 1)
}

func TestVerify(t *testing.T) {
	key, other := newKey(t), newKey(t)
	sig := sign(t, key, "of the fox")
	lines := strings.SplitAfter(string(sig), "\n")
	long := func(n int) []byte { return sign(t, key, strings.Repeat("x", n)) }
	padded := func(n int) []byte { // by what is not signed
		return edit(t, sig, "untrusted comment: ", "untrusted comment: "+strings.Repeat("x", n-len(sig)))
	}
	for _, tt := range []struct {
		name    string
		sig     []byte
		message []byte
		want    error
	}{
		{"whole", sig, message, nil},
		{"with line ends of Windows", []byte(strings.ReplaceAll(string(sig), "\n", "\r\n")), message, nil},
		{"another untrusted comment", edit(t, sig, "signature of", "made with"), message, nil},
		{"another message", sig, append([]byte(nil), message[1:]...), signature.ErrChanged},
		{"one byte more", sig, append(append([]byte(nil), message...), 0), signature.ErrChanged},
		{"another trusted comment", edit(t, sig, "of the fox", "of the fix"), message, signature.ErrChanged},
		{"another key", sign(t, other, "of the fox"), message, signature.ErrOtherKey},
		{"legacy kind claimed", []byte(lines[0] + "RW" + lines[1][2:] + lines[2] + lines[3]), message, signature.ErrChanged},
		{"kind that is not known", []byte(lines[0] + "RX" + lines[1][2:] + lines[2] + lines[3]), message, signature.ErrMalformed},
		{"nothing", nil, message, signature.ErrMalformed},
		{"message for signature", message, message, signature.ErrMalformed},
		{"three lines", []byte(lines[0] + lines[1] + lines[2]), message, signature.ErrMalformed},
		{"more behind it", append(append([]byte(nil), sig...), "more\n"...), message, signature.ErrMalformed},
		{"short", edit(t, sig, lines[1], lines[1][4:]), message, signature.ErrMalformed},
		{"not base64", edit(t, sig, lines[1], "!"+lines[1][1:]), message, signature.ErrMalformed},
		{"no trusted comment", edit(t, sig, "\ntrusted", "\nuntrusted"), message, signature.ErrMalformed},
		{"comment below the limit", long(signature.MaxComment - 1), message, nil},
		{"comment at the limit", long(signature.MaxComment), message, nil},
		{"below the limit", padded(signature.MaxSignature - 1), message, nil},
		{"at the limit", padded(signature.MaxSignature), message, nil},
		{"beyond the limit", padded(signature.MaxSignature + 1), message, signature.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			comment, err := signature.Verify(key.Public(), tt.message, tt.sig)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("%v; want %v", err, tt.want)
			}
			if (comment == "") != (err != nil) {
				t.Errorf("comment %q with %v", comment, err)
			}
			want := fault.Mismatch
			if errors.Is(err, signature.ErrMalformed) {
				want = fault.Input
			}
			if err != nil && fault.ClassOf(err) != want {
				t.Errorf("class %d of %v; want %d", fault.ClassOf(err), err, want)
			}
		})
	}
	_, err := signature.Verify(key.Public(), message, sign(t, other, ""))
	if want := "another key: " + other.Public().ID() + ", expected " + key.Public().ID(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
	if _, err := signature.Verify(signature.Key{}, message, sig); err == nil {
		t.Error("no key verifies")
	}
	zero := minisign.Signature{Algorithm: minisign.EdDSA, TrustedComment: "x"}
	if _, err := signature.Verify(signature.Key{}, message, []byte(zero.String())); err == nil || !strings.Contains(err.Error(), "no public key") {
		t.Errorf("no key, of what is signed with key 0: %v", err)
	}
}

// TestTrustedCommentTooLong is of one that this package does not write.
func TestTrustedCommentTooLong(t *testing.T) {
	public, secret, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signature.ParsePublic([]byte(public.String()))
	if err != nil {
		t.Fatal(err)
	}
	sig := minisign.SignWithComments(secret, message, strings.Repeat("x", signature.MaxComment+1), "")
	if _, err := signature.Verify(key, message, sig); !errors.Is(err, signature.ErrMalformed) {
		t.Error(err)
	}
}

func TestParsePublic(t *testing.T) {
	key := newKey(t)
	line := key.Public().String()
	plain, err := key.Plain()
	if err != nil {
		t.Fatal(err)
	}
	pad := func(n int) string { return strings.Repeat("\n", n-len(line)) }
	for _, tt := range []struct{ name, text, want string }{
		{"file", string(key.Public().Text()), ""},
		{"line", line, ""},
		{"line with its end", line + "\r\n", ""},
		{"another comment", "untrusted comment: x\n" + line, ""},
		{"below the limit", "untrusted comment: \n" + line + pad(signature.MaxKey-1-20), ""},
		{"at the limit", "untrusted comment: \n" + line + pad(signature.MaxKey-20), ""},
		{"beyond the limit", "untrusted comment: \n" + line + pad(signature.MaxKey+1-20), "more than 4096 bytes"},
		{"empty", "", "length 0"},
		{"words", "fox.pub is here", "not base64"},
		{"two keys", "untrusted comment: \n" + line + "\n" + line, "length 84"},
		{"short", line[4:], "length 39"},
		{"another algorithm", "XX" + line[2:], "algorithm"},
		{"secret key", string(plain), "this is a secret key"},
		{"secret key without its comment", string(bytes.SplitAfter(plain, []byte("\n"))[1]), "this is a secret key"},
		{"signature", string(sign(t, key, "")), "not base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := signature.ParsePublic([]byte(tt.text))
			switch {
			case tt.want == "" && (err != nil || got.String() != line || got.ID() != key.Public().ID()):
				t.Errorf("%v, %v; want %s", got, err, line)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != fault.Input):
				t.Errorf("%v; want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), strings.TrimSpace(string(plain[60:]))) {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

func TestParseSecret(t *testing.T) {
	key := newKey(t)
	plain, err := key.Plain()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"whole", string(plain), ""},
		{"public", string(key.Public().Text()), "not one of minisign"},
		{"too long", string(plain) + strings.Repeat("\n", signature.MaxKey), "more than 4096"},
		{"changed", string(plain[:len(plain)-60]) + "AAAA" + string(plain[len(plain)-56:]), "do not belong together"},
		{"another derivation", strings.Replace(string(plain), "RWQAA", "RWQBB", 1), "invalid KDF"},
		{"another algorithm", strings.Replace(string(plain), "RWQAA", "XXQAA", 1), "invalid key type"},
		// What asks for more memory than minisign ever does is refused before it is had.
		{"cost beyond the limit", strings.Replace(string(plain), "RWQAAEIy"+strings.Repeat("A", 56), "RWRTY0Iy"+strings.Repeat("A", 48)+"////////", 1), "does not open it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := signature.ParseSecret([]byte(tt.text), nil)
			if tt.want == "" {
				if err != nil || !got.Public().Equal(key.Public()) {
					t.Errorf("%v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != fault.Input {
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
}

// TestSecretIsNotShown prints a key in every way.
func TestSecretIsNotShown(t *testing.T) {
	key := newKey(t)
	plain, err := key.Plain()
	if err != nil {
		t.Fatal(err)
	}
	var none *signature.Secret
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, key); got != "secret key "+key.Public().ID() {
			t.Errorf("%s: %s", verb, got)
		}
		if got := fmt.Sprintf(verb, none); got != "no secret key" {
			t.Errorf("%s: %s", verb, got)
		}
	}
	if signature.IsEncrypted(plain) {
		t.Error("a plain key is encrypted")
	}
}

func TestCheckComment(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		good       bool
	}{
		{"empty", "", true},
		{"words", "für den Fuchs\tv1", true},
		{"two lines", "a\nb", false},
		{"a line end", "a\r", false},
		{"an escape", "a\x1b[2J", false},
		{"not UTF-8", "a\xff", false},
		{"below the limit", strings.Repeat("x", signature.MaxComment-1), true},
		{"at the limit", strings.Repeat("x", signature.MaxComment), true},
		{"beyond the limit", strings.Repeat("x", signature.MaxComment+1), false},
	} {
		if err := signature.CheckComment(tt.text); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, err := newKey(t).Sign(message, tt.text); (err == nil) != tt.good {
			t.Errorf("%s: Sign: %v", tt.name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	key := newKey(f)
	f.Add(sign(f, key, "x"))
	f.Add([]byte("untrusted comment: \nRW\ntrusted comment: \n\n"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		if _, err := signature.Verify(key.Public(), []byte("something else"), sig); err == nil {
			t.Errorf("%q verifies what nobody signed", sig)
		}
	})
}

func FuzzParsePublic(f *testing.F) {
	f.Add(newKey(f).Public().Text())
	f.Add([]byte("RWQ"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := signature.ParsePublic(text)
		if err != nil {
			return
		}
		if again, err := signature.ParsePublic(key.Text()); err != nil || !again.Equal(key) {
			t.Errorf("%v, %v; want %v", again, err, key)
		}
	})
}

func FuzzParseSecret(f *testing.F) {
	plain, err := newKey(f).Plain()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Fuzz(func(t *testing.T, text []byte) {
		if signature.IsEncrypted(text) { // opening takes seconds
			return
		}
		if key, err := signature.ParseSecret(text, nil); err == nil {
			if _, err := key.Sign(message, ""); err != nil {
				t.Error(err)
			}
		}
	})
}
