package agekey

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age/armor"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

const enough = 1 << 40 // bytes of memory

func encrypted(t testing.TB, text string) []byte {
	t.Helper()
	data, err := encrypt([]byte(text), []byte("correct horse"), 2)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// header returns an encrypted file that is nothing but a head with a line.
func header(stanzas ...string) []byte {
	body := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	s := "age-encryption.org/v1\n"
	for _, stanza := range stanzas {
		s += "-> " + stanza + "\n" + body + "\n"
	}
	return []byte(s + "--- " + base64.RawStdEncoding.EncodeToString(make([]byte, 32)) + "\n" + strings.Repeat("x", 40))
}

var salt = base64.RawStdEncoding.EncodeToString(make([]byte, 16))

func TestDecrypt(t *testing.T) {
	data := encrypted(t, private)
	binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"armored": data, "binary": binary,
		"CRLF":            bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")),
		"BOM":             append([]byte(bom), data...),
		"BOM and CRLF":    append([]byte(bom+"\r\n"), bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))...),
		"space around it": append(append([]byte("\n\n"), data...), "\n\n"...),
	} {
		if !IsEncrypted(data) {
			t.Errorf("%s: IsEncrypted is false", name)
		}
		got, err := Decrypt(data, []byte("correct horse"), enough)
		if err != nil || string(got) != private {
			t.Errorf("%s: Decrypt: %v, expected the key", name, err)
		}
	}
}

func TestDecryptRefuses(t *testing.T) {
	good := encrypted(t, private)
	large := encrypted(t, strings.Repeat("x", maxText+1))
	limit := encrypted(t, strings.Repeat("x", maxText))
	if got, err := Decrypt(limit, []byte("correct horse"), enough); err != nil || len(got) != maxText {
		t.Errorf("Decrypt of %d bytes: %d, %v", maxText, len(got), err)
	}
	const pass = "correct horse"
	tests := []struct {
		name string
		data []byte
		pass string
		code firstboot.Code
		want string
	}{
		{"wrong", good, "correct horsf", firstboot.CodePassphrase, "wrong"},
		{"with end of line", good, pass + "\n", firstboot.CodePassphrase, "wrong"},
		{"empty", good, "", firstboot.CodePassphrase, "empty"},
		{"not encrypted", []byte(private), pass, firstboot.CodeBadKey, "not encrypted"},
		{"nothing", nil, pass, firstboot.CodeBadKey, "not encrypted"},
		{"for a key", header("X25519 " + base64.RawStdEncoding.EncodeToString(make([]byte, 32))), pass, firstboot.CodeBadKey, "encrypted for a key"},
		{"for both", header("scrypt "+salt+" 2", "X25519 x"), pass, firstboot.CodeBadKey, "encrypted for a key"},
		{"for ssh", header("ssh-ed25519 x y"), pass, firstboot.CodeBadKey, "encrypted for a key"},
		{"factor 23", header("scrypt " + salt + " 23"), pass, firstboot.CodeBadKey, "a work factor above 22"},
		{"factor 64", header("scrypt " + salt + " 64"), pass, firstboot.CodeBadKey, "a work factor above 22"},
		{"factor 10^30", header("scrypt " + salt + " 1" + strings.Repeat("0", 30)), pass, firstboot.CodeBadKey, "a work factor above 22"},
		{"factor 0", header("scrypt " + salt + " 0"), pass, firstboot.CodeBadKey, "damaged"},
		{"factor -1", header("scrypt " + salt + " -1"), pass, firstboot.CodeBadKey, "damaged"},
		{"factor 02", header("scrypt " + salt + " 02"), pass, firstboot.CodeBadKey, "damaged"},
		{"no factor", header("scrypt " + salt), pass, firstboot.CodeBadKey, "damaged"},
		{"three arguments", header("scrypt " + salt + " 2 2"), pass, firstboot.CodeBadKey, "damaged"},
		{"salt", header("scrypt AAAA 2"), pass, firstboot.CodeBadKey, "damaged"},
		{"another version", []byte("age-encryption.org/v2\n"), pass, firstboot.CodeBadKey, "damaged"},
		{"cut short", good[:len(good)-60], pass, firstboot.CodeBadKey, "damaged"},
		{"cut in the head", good[:80], pass, firstboot.CodeBadKey, "damaged"},
		{"more behind it", append(bytes.Clone(good), "AGE-SECRET"...), pass, firstboot.CodeBadKey, "damaged"},
		{"large", large, pass, firstboot.CodeBadKey, "larger than 65536 bytes when it is decrypted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decrypt(tt.data, []byte(tt.pass), enough)
			if firstboot.CodeOf(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.want) || got != nil {
				t.Fatalf("Decrypt: %d bytes, code %d: %v, expected code %d and %q", len(got), firstboot.CodeOf(err), err, tt.code, tt.want)
			}
			noLeak(t, string(tt.data)+"\n"+private+"\n"+tt.pass, err)
		})
	}
}

// Memory is asked for before scrypt takes it.
func TestDecryptMemory(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		factor int
		memory int64
		enough bool
	}{
		{18, (256+64)*mib - 1, false},
		{22, (4096+64)*mib - 1, false},
		{22, 0, false},
		{1, 64*mib + 2047, false},
		{1, 64*mib + 2048, true},
		{1, 64*mib + 2049, true},
		{10, 65*mib - 1, false},
		{10, 65 * mib, true},
	}
	for _, tt := range tests {
		_, err := Decrypt(header(fmt.Sprintf("scrypt %s %d", salt, tt.factor)), []byte("x"), tt.memory)
		want := firstboot.CodeMemory
		if tt.enough {
			want = firstboot.CodePassphrase
		}
		if firstboot.CodeOf(err) != want {
			t.Errorf("factor %d with %d bytes: %v, expected code %d", tt.factor, tt.memory, err, want)
		}
	}
	_, err := Decrypt(header("scrypt "+salt+" 18"), []byte("x"), 100*mib)
	want := "passphrase of the key: 320 MiB of memory are needed to try it, 100 MiB are available"
	if err == nil || err.Error() != want {
		t.Errorf("Decrypt: %v, expected %s", err, want)
	}
}

func TestEncrypt(t *testing.T) {
	if _, err := Encrypt([]byte("x"), nil); firstboot.CodeOf(err) != firstboot.CodePassphrase {
		t.Errorf("Encrypt without a passphrase: %v", err)
	}
	data, err := Encrypt([]byte(private), []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte(armor.Header+"\n")) || !bytes.HasSuffix(data, []byte(armor.Footer+"\n")) {
		t.Error("Encrypt: not armored")
	}
	if _, err := Decrypt(data, []byte("correct horse"), 256<<20+spare-1); firstboot.CodeOf(err) != firstboot.CodeMemory {
		t.Errorf("Decrypt with too little memory for age's default: %v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	f.Add(encrypted(f, private))
	for _, seed := range [][]byte{header("scrypt " + salt + " 2"), header("scrypt " + salt + " 22"), header("X25519 x"), header("scrypt "+salt+" 2", "scrypt "+salt+" 2"), []byte(armor.Header)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Decrypt(data, []byte("correct horse"), 128<<10+spare) // factors up to 7
		switch firstboot.CodeOf(err) {
		case 0:
			if err != nil {
				t.Errorf("no code: %v", err)
			}
		case firstboot.CodeBadKey, firstboot.CodePassphrase, firstboot.CodeMemory:
		default:
			t.Errorf("code %d: %v", firstboot.CodeOf(err), err)
		}
	})
}
