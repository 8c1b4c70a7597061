package inventory

import (
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/keymedium"
)

// KeyMedium is a place that has the age key of a machine. Nothing of the key itself is
// in here.
type KeyMedium struct {
	Place
	ESP        bool     `json:"esp,omitempty"` // it is the ESP of a system, not a medium of its own
	File       string   `json:"file,omitempty"`
	Encrypted  bool     `json:"encrypted,omitempty"`  // a passphrase opens it
	Recipients []string `json:"recipients,omitempty"` // public keys, of one that is not encrypted
	Problem    string   `json:"problem,omitempty"`    // why there is no key to be had
}

// keyMedium reads a key medium, which is known by the label of its partition.
func (l *look) keyMedium(v *volume) {
	if v.PARTLABEL != config.KeyLabel {
		return
	}
	m := KeyMedium{Place: v.Place}
	name, secret, err := keymedium.Read(l.section(v.Place), v.Size)
	if err != nil {
		m.Problem = text(err.Error())
		l.problems.add(Note, v.String(), "no key can be taken from it", "key medium: %v", err)
	} else {
		m.File = name
		m.look(secret)
	}
	l.keys = append(l.keys, m)
}

// encryptedKey reads the key on an ESP, which has none in most systems.
func (l *look) encryptedKey(e *esp) {
	if e.files == nil {
		return
	}
	secret, err := keymedium.ReadEncrypted(l.section(e.Place), e.Size)
	if firstboot.CodeOf(err) == firstboot.CodeNoKey {
		return
	}
	m := KeyMedium{Place: e.Place, ESP: true, File: config.KeyFileEncrypted}
	if err != nil {
		m.Problem = text(err.Error())
	} else {
		m.look(secret)
	}
	l.keys = append(l.keys, m)
}

// look says what a file of a key is, and forgets it.
func (m *KeyMedium) look(secret []byte) {
	defer clear(secret)
	if m.Encrypted = agekey.IsEncrypted(secret); m.Encrypted {
		return
	}
	key, err := agekey.Parse(secret)
	if err != nil {
		m.Problem = text(err.Error())
		return
	}
	m.Recipients = key.Recipients()
}
