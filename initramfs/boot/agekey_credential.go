package boot

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/smbios"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Beginnings of strings of SMBIOS that are credentials, see
// systemd.system-credentials(7).
const (
	credentialText   = "io.systemd.credential:"
	credentialBase64 = "io.systemd.credential.binary:"
)

// fwcfgCredentials is where QEMU's fw_cfg has credentials, below /sys.
const fwcfgCredentials = "firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials"

// fromCredentials is the source "credential".
func (s *keySearch) fromCredentials() bool {
	found := false
	for _, o := range s.credentials() {
		found = true
		if s.key != nil {
			clear(o.text)
			continue
		}
		s.accept(o)
	}
	if !found {
		s.without("no credential %s", config.KeyCredentialName)
	}
	return s.key != nil
}

// credentials returns what the firmware has of the key's name. What cannot be
// read is told.
func (s *keySearch) credentials() (offers []offer) {
	const where = "credential " + config.KeyCredentialName
	table, err := readAtMost(filepath.Join(s.host.sys, smbios.Table), smbios.MaxTable)
	defer clear(table)
	if err != nil {
		s.refuse(where+" of SMBIOS", err)
	}
	for _, text := range smbios.OEMStrings(table) {
		value, ok, err := credentialOf(text, config.KeyCredentialName)
		if err != nil {
			s.refuse(where+" of SMBIOS", err)
		} else if ok {
			offers = append(offers, offer{where + " of SMBIOS", value})
		}
	}
	text, err := readAtMost(filepath.Join(s.host.sys, fwcfgCredentials, config.KeyCredentialName, "raw"), maxKeyFile)
	if err != nil {
		s.refuse(where+" of fw_cfg", err)
	} else if text != nil {
		offers = append(offers, offer{where + " of fw_cfg", text})
	}
	return offers
}

// readAtMost returns the first limit bytes of a file, nil when it is not there.
func readAtMost(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// credentialOf returns the value of a credential if a string of SMBIOS holds
// it, in memory of its own. The error has nothing of the value.
func credentialOf(text []byte, name string) (value []byte, ok bool, err error) {
	encoded := false
	rest, ok := bytes.CutPrefix(text, []byte(credentialText))
	if !ok {
		rest, encoded = bytes.CutPrefix(text, []byte(credentialBase64))
		ok = encoded
	}
	key, rest, has := bytes.Cut(rest, []byte("="))
	if !ok || !has || string(key) != name {
		return nil, false, nil
	}
	if !encoded {
		return bytes.Clone(rest), true, nil
	}
	value = make([]byte, base64.StdEncoding.DecodedLen(len(rest)))
	n, err := base64.StdEncoding.Decode(value, rest)
	if err != nil {
		clear(value)
		return nil, false, firstboot.NewProblem(firstboot.CodeBadKey, "base64 -w0 FILE makes it",
			"%d characters, expected base64", len(rest))
	}
	return value[:n], true, nil
}

// available returns the bytes of memory that can be used without another
// process losing its own.
func (s *keySearch) available() (int64, error) {
	text, err := os.ReadFile(filepath.Join(s.proc, "meminfo"))
	if err != nil {
		return 0, err
	}
	return firstboot.MemAvailable(string(text))
}
