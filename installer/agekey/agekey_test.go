package agekey

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// A key and its public key, made for these tests.
const (
	private = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	public  = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
)

// generate returns a new secret key and its public key.
func generate(t testing.TB) (text, recipient string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.String(), id.Recipient().String()
}

func generateHybrid(t testing.TB) (text, recipient string) {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id.String(), id.Recipient().String()
}

func parse(t testing.TB, text string) *Key {
	t.Helper()
	k, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParse(t *testing.T) {
	a, pa := generate(t)
	b, pb := generate(t)
	h, ph := generateHybrid(t)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"of age-keygen", "# created: 2026-01-02T03:04:05Z\n# public key: " + pa + "\n" + a + "\n", []string{pa}},
		{"no end of line", a, []string{pa}},
		{"fixed", private, []string{public}},
		{"CRLF", "# x\r\n" + a + "\r\n\r\n" + b + "\r\n", []string{pa, pb}},
		{"CR", "# x\r" + a + "\r" + b, []string{pa, pb}},
		{"BOM", bom + a + "\n", []string{pa}},
		{"BOM and comment", bom + "# x\n" + a, []string{pa}},
		{"spaces", " " + a + " \t\n  # x\n \n", []string{pa}},
		{"two", a + "\n" + b + "\n", []string{pa, pb}},
		{"twice", a + "\n" + b + "\n" + a + "\n", []string{pa, pb}},
		{"hybrid", h + "\n", []string{ph}},
		{"both kinds", h + "\n" + a + "\n", []string{ph, pa}},
		{"another encoding in a comment", "# caf\xe9\n" + a, []string{pa}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, k.Recipients()); diff != "" {
				t.Error(diff)
			}
			if len(k.Identities()) != len(tt.want) {
				t.Errorf("%d identities, expected %d", len(k.Identities()), len(tt.want))
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	a, pa := generate(t)
	h, ph := generateHybrid(t)
	encrypted, err := encrypt([]byte(a), []byte("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	wrongSum := a[:len(a)-1] + "Q"
	if wrongSum == a {
		wrongSum = a[:len(a)-1] + "P"
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", "empty"},
		{"BOM alone", bom, "no secret key in 1 lines"},
		{"comments", "# x\n\n# AGE\n", "no secret key in 4 lines"},
		{"armored", string(encrypted), "its passphrase is needed"},
		{"armored after space", "\r\n " + string(encrypted), "its passphrase is needed"},
		{"binary", "age-encryption.org/v1\n-> X", "its passphrase is needed"},
		{"public", "# x\n" + pa, "line 2: a public key, expected the secret one"},
		{"public hybrid", ph, "line 1: a public key, expected the secret one"},
		{"public after secret", a + "\n" + pa, "line 2: a public key"},
		{"small letters", strings.ToLower(a), "line 1: a secret key in small letters"},
		{"small hybrid", "\n" + strings.ToLower(h), "line 2: a secret key in small letters"},
		{"one small letter", a[:20] + strings.ToLower(a[20:]), "line 1: a secret key with small letters"},
		{"ssh", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", "line 1: a key of ssh, expected a line that begins with AGE-SECRET-KEY-1"},
		{"ssh public", "ssh-ed25519 AAAA me@host", "line 1: a key of ssh"},
		{"plugin", "AGE-PLUGIN-YUBIKEY-1QQQ", "line 1: a key of a plugin of age, expected a line that begins with"},
		{"other", "hello", "line 1: not a secret key of age, expected a line that begins with"},
		{"binary data", "\x00\x01\x02", "line 1: not a secret key"},
		{"UTF-16", "\xff\xfeA\x00G\x00", "UTF-16"},
		{"checksum", "\r\n\r\n" + wrongSum, "line 3: a secret key with a mistake: 74 characters"},
		{"cut short", a[:50], "line 1: a secret key with a mistake: 50 characters"},
		{"two on a line", a + " " + a, "line 1: a secret key with a mistake: 149 characters"},
		{"remark", a + " # LAPTOP", "line 1: a secret key with a mistake"},
		{"hybrid cut short", h[:40], "line 1: a secret key with a mistake: 40 characters"},
		{"kinds mixed up", "AGE-SECRET-KEY-PQ-1" + a[len(prefixX25519):], "line 1: a secret key with a mistake"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := Parse([]byte(tt.text))
			if firstboot.CodeOf(err) != firstboot.CodeBadKey || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Fatalf("Parse: %v, %v, expected %q", k, err, tt.want)
			}
			noLeak(t, tt.text, err)
		})
	}
}

// noLeak looks for parts of a text's lines in an error.
func noLeak(t *testing.T, text string, err error) {
	t.Helper()
	all := fmt.Sprintf("%v %+v %#v", err, err, err)
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(line), prefixX25519), prefixHybrid)
		for at := 0; at+12 <= len(line); at++ {
			if part := line[at : at+12]; strings.Contains(strings.ToUpper(all), part) && !strings.Contains(prefixX25519, part) {
				t.Fatalf("the error has %q of the text: %s", part, all)
			}
		}
	}
}

func TestParseLimits(t *testing.T) {
	a, _ := generate(t)
	for size, want := range map[int]bool{maxText - 1: true, maxText: true, maxText + 1: false} {
		text := a + "\n#" + strings.Repeat("x", size-len(a)-2)
		if _, err := Parse([]byte(text)); (err == nil) != want {
			t.Errorf("Parse of %d bytes: %v, expected it to succeed: %t", len(text), err, want)
		}
	}
	for count, want := range map[int]bool{maxIdentities - 1: true, maxIdentities: true, maxIdentities + 1: false} {
		if _, err := Parse([]byte(strings.Repeat(a+"\n", count))); (err == nil) != want {
			t.Errorf("Parse of %d keys: %v, expected it to succeed: %t", count, err, want)
		}
	}
}

func TestText(t *testing.T) {
	a, pa := generate(t)
	h, ph := generateHybrid(t)
	k := parse(t, bom+"# mine\r\n"+a+"\r\n"+h)
	want := "# public key: " + pa + "\n" + a + "\n# public key: " + ph + "\n" + h + "\n"
	if diff := cmp.Diff(want, string(k.Text())); diff != "" {
		t.Error(diff)
	}
	if again := parse(t, string(k.Text())); !again.has(k) || !k.has(again) {
		t.Errorf("Parse of Text: %v, expected %v", again, k)
	}
}

// What opens a file that was encrypted to the public key is the secret one.
func TestIdentities(t *testing.T) {
	h, ph := generateHybrid(t)
	for text, recipient := range map[string]string{private: public, h: ph} {
		to, err := age.ParseRecipients(strings.NewReader(recipient))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w, err := age.Encrypt(&out, to...)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := age.Decrypt(&out, parse(t, text).Identities()...); err != nil {
			t.Errorf("Decrypt: %v", err)
		}
	}
}

// A key shows its public key under every verb, however it is held.
func TestKeyPrintsNoSecret(t *testing.T) {
	a, _ := generate(t)
	h, _ := generateHybrid(t)
	k := parse(t, private+"\n"+a+"\n"+h)
	values := map[string]any{
		"pointer": k, "value": *k, "pointer to pointer": &k,
		"field": struct{ Key *Key }{k}, "value in field": struct{ Key Key }{*k},
		"hidden field": struct{ key *Key }{k}, "hidden value": struct{ key Key }{*k}, "pointer to hidden": &struct{ key Key }{*k},
		"list": []*Key{k}, "list of values": []Key{*k}, "map": map[string]*Key{"k": k}, "any": []any{k, *k},
		"error": fmt.Errorf("%v", k), "outcome": []any{Kept, k},
	}
	var raw []string
	for _, i := range k.identities {
		raw = append(raw, strings.TrimPrefix(strings.TrimPrefix(i.secret().String(), prefixX25519), prefixHybrid)[:20])
	}
	// The bytes of the secret key, as package fmt shows them: all are 0x42 in the first.
	raw = append(raw, "66 66 66", "0x42, 0x42", "424242", "BBBB", "42 42 42", `\x42`)
	for how, value := range values {
		for _, verb := range strings.Split("v +v #v s q x X d T p t b o e c U", " ") {
			got := fmt.Sprintf("%"+verb, value)
			for _, part := range raw {
				if strings.Contains(strings.ToUpper(got), strings.ToUpper(part)) && !strings.Contains(public, part) {
					t.Errorf("%s with %%%s has a secret: %s", how, verb, got)
				}
			}
		}
	}
	for _, verb := range strings.Split("v +v #v s q x X d", " ") {
		for _, value := range []any{k, *k} {
			if got := fmt.Sprintf("%"+verb, value); !strings.Contains(got, public) {
				t.Errorf("%%%s: %s, expected the public key", verb, got)
			}
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "k", k, "v", *k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "k", k, "v", *k)
	for _, part := range raw[:3] {
		if strings.Contains(log.String(), part) {
			t.Errorf("log has a secret: %s", log.String())
		}
	}
}

func TestCheck(t *testing.T) {
	a, pa := generate(t)
	_, pb := generate(t)
	h, ph := generateHybrid(t)
	k := parse(t, a+"\n"+h)
	for _, recipients := range [][]string{{pa}, {ph}, {pb, pa}} {
		if err := Check(k, recipients); err != nil {
			t.Errorf("Check(%q): %v", recipients, err)
		}
	}
	err := Check(k, []string{pb, public})
	want := fmt.Sprintf("key of age: it is %s, %s…%s, the secrets need %s, %s", pa, ph[:24], ph[len(ph)-8:], pb, public)
	if firstboot.CodeOf(err) != firstboot.CodeOtherKey || err.Error() != want {
		t.Errorf("Check: %v\nexpected %s", err, want)
	}
	if err := Check(k, nil); firstboot.CodeOf(err) != firstboot.CodeOtherKey {
		t.Errorf("Check without recipients: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	h, _ := generateHybrid(f)
	for _, seed := range []string{"", private, h, bom + private, "# x\r\n" + private + "\r\n", public, "age-encryption.org/v1\n", "-----BEGIN AGE ENCRYPTED FILE-----\n", "ssh-ed25519 x", "AGE-PLUGIN-X-1", "\xff\xfe"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := Parse(text)
		if err != nil {
			if firstboot.CodeOf(err) != firstboot.CodeBadKey {
				t.Errorf("code %d, expected %d", firstboot.CodeOf(err), firstboot.CodeBadKey)
			}
			return
		}
		again, err := Parse(k.Text())
		if err != nil || !slices.Equal(again.Recipients(), k.Recipients()) {
			t.Errorf("Parse of Text: %v, %v, expected %v", again, err, k)
		}
	})
}
