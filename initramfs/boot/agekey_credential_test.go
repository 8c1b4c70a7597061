package boot

import (
	"bytes"
	"encoding/base64"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/terminal/terminaltest"
	"github.com/6FaNcY9/mkimage/installer/agekey/agekeytest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// fwcfg hands in a key as QEMU does.
func (b *keyBench) fwcfg(text string) {
	b.t.Helper()
	fill(b.t, b.host.sys, filepath.Join(fwcfgCredentials, config.KeyCredentialName, "raw"), []byte(text))
}

// oem is a structure of OEM strings.
func oem(strings ...string) []byte {
	return dmi(dmiOEMStrings, 5, map[int]any{4: uint8(len(strings))}, strings...)
}

func (b *keyBench) smbios(tables ...[]byte) {
	b.t.Helper()
	fill(b.t, b.host.sys, "firmware/dmi/tables/DMI", slices.Concat(append(tables, dmiLast)...))
}

func TestCredential(t *testing.T) {
	const name = "mkimage.age-key"
	tests := []struct {
		what  string
		texts func(key string) []string
		line  string
		found bool
	}{
		{"text", func(key string) []string { return []string{"x", credentialText + name + "=" + key} }, "", true},
		{"base64", func(key string) []string {
			return []string{credentialBase64 + name + "=" + base64.StdEncoding.EncodeToString([]byte(key))}
		}, "", true},
		{"no base64", func(key string) []string { return []string{credentialBase64 + name + "=" + key} }, `^<4>age key: credential mkimage.age-key of SMBIOS: [0-9]+ characters, expected base64`, false},
		{"no base64, then text", func(key string) []string {
			return []string{credentialBase64 + name + "=?", credentialText + name + "=" + key}
		}, "expected base64", true},
		{"other name", func(key string) []string { return []string{credentialText + name + "2=" + key, credentialText + name} }, "none was found: no credential mkimage.age-key", false},
		{"other kind", func(key string) []string { return []string{"io.systemd.stub:" + name + "=" + key} }, "none was found: no credential mkimage.age-key", false},
		{"empty", func(string) []string { return []string{credentialText + name + "="} }, `^<4>age key: credential mkimage.age-key of SMBIOS: key of age: empty`, false},
	}
	for _, test := range tests {
		t.Run(test.what, func(t *testing.T) {
			b := newKeyBench(t, config.KeyCredential)
			b.smbios(dmiBIOS, oem("first"), oem(test.texts(b.key.String())...))
			b.start()
			b.wait()
			if test.line != "" {
				b.wantLine(test.line)
			}
			if test.found {
				b.wantKey("credential mkimage.age-key of SMBIOS: installed")
			} else if b.exists(keyPath[1:]) {
				t.Error("there is a key")
			}
			if b.driven != 0 {
				t.Error("drivers were started for a credential")
			}
		})
	}
}

// A key with a passphrase needs a person.
func TestCredentialEncrypted(t *testing.T) {
	b := newKeyBench(t, config.KeyCredential)
	b.config.Timeout, b.nodes = 0, []string{terminaltest.New(t).Node}
	b.fwcfg(string(agekeytest.Encrypted(t, b.text, "secret")))
	b.start()
	b.wait()
	b.wantNone(firstboot.Waiting, firstboot.CodeNoKey, "encrypted, and nobody gave its passphrase")
	if b.driven != 0 {
		t.Error("drivers were started, though nobody is asked")
	}
}

func TestOEMStrings(t *testing.T) {
	tests := []struct {
		name  string
		table []byte
		want  []string
	}{
		{"none", nil, nil},
		{"one", oem("a"), []string{"a"}},
		{"two structures", slices.Concat(dmiBIOS, oem("a", "b"), dmi(17, 40, nil, "no"), oem("c"), dmiLast, oem("behind the end")), []string{"a", "b", "c"}},
		{"fewer than are there", dmi(dmiOEMStrings, 5, map[int]any{4: uint8(1)}, "a", "b"), []string{"a"}},
		{"more than are there", dmi(dmiOEMStrings, 5, map[int]any{4: uint8(9)}, "a", "b"), []string{"a", "b"}},
		{"no strings", dmi(dmiOEMStrings, 5, map[int]any{4: uint8(2)}), nil},
		{"no count", dmi(dmiOEMStrings, 4, nil, "a"), nil},
		{"longer", dmi(dmiOEMStrings, 6, map[int]any{4: uint8(1)}, "a"), []string{"a"}},
		{"length 3", slices.Concat([]byte{dmiOEMStrings, 3, 0, 0, 0}, oem("a")), nil},
		{"cut in its strings", oem("a", "b")[:8], nil},
		{"cut before its last zero", oem("a")[:7], nil},
		{"length of all", []byte{dmiOEMStrings, 5, 0, 0, 1}, nil},
		{"length of more", []byte{dmiOEMStrings, 6, 0, 0, 1}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, text := range oemStrings(test.table) {
				got = append(got, string(text))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("oemStrings (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzOEMStrings(f *testing.F) {
	f.Add(slices.Concat(dmiBIOS, oem("a", credentialText+"mkimage.age-key=AGE"), dmiLast))
	f.Add(oem(credentialBase64 + "mkimage.age-key=QUdF"))
	f.Add([]byte{dmiOEMStrings, 5, 0, 0, 255, 0, 0})
	f.Fuzz(func(t *testing.T, table []byte) {
		before := bytes.Clone(table)
		for _, text := range oemStrings(table) {
			if bytes.IndexByte(text, 0) >= 0 || !bytes.Contains(table, text) {
				t.Errorf("oemStrings(%x): %q", table, text)
			}
			value, ok, err := credentialOf(text, "mkimage.age-key")
			if ok && err != nil || len(value) > len(text) {
				t.Errorf("credentialOf(%q) = %q, %v, %v", text, value, ok, err)
			}
			if err != nil && strings.Contains(err.Error(), string(text)) {
				t.Errorf("credentialOf: its error has the text: %v", err)
			}
		}
		if !bytes.Equal(before, table) {
			t.Error("the table was changed")
		}
	})
}
