package boot

import (
	"bytes"
	"encoding/base64"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/smbios"
	"github.com/6FaNcY9/mkimage/initramfs/smbios/smbiostest"
	"github.com/6FaNcY9/mkimage/initramfs/terminal/terminaltest"
	"github.com/6FaNcY9/mkimage/installer/agekey/agekeytest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// fwcfg hands in a key as QEMU does.
func (b *keyBench) fwcfg(text string) {
	b.t.Helper()
	fill(b.t, b.host.sys, filepath.Join(fwcfgCredentials, config.KeyCredentialName, "raw"), []byte(text))
}

func (b *keyBench) smbios(tables ...[]byte) {
	b.t.Helper()
	fill(b.t, b.host.sys, smbios.Table, slices.Concat(append(tables, smbiostest.Last)...))
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
			b.smbios(smbiostest.BIOS, smbiostest.OEM("first"), smbiostest.OEM(test.texts(b.key.String())...))
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

func FuzzCredentialOf(f *testing.F) {
	f.Add([]byte(credentialText + "mkimage.age-key=AGE"))
	f.Add([]byte(credentialBase64 + "mkimage.age-key=QUdF"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		value, ok, err := credentialOf(text, "mkimage.age-key")
		if ok && err != nil || len(value) > len(text) || !bytes.Equal(before, text) {
			t.Errorf("credentialOf(%q) = %q, %v, %v", before, value, ok, err)
		}
		if err != nil && strings.Contains(err.Error(), string(text)) {
			t.Errorf("credentialOf: its error has the text: %v", err)
		}
	})
}
