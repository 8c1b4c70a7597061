package boot

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
)

// efivar returns a text as efivarfs shows a variable that systemd wrote.
func efivar(text string) []byte {
	raw := []byte{7, 0, 0, 0} // NON_VOLATILE, BOOTSERVICE_ACCESS, RUNTIME_ACCESS
	for _, u := range append(utf16.Encode([]rune(text)), 0) {
		raw = binary.LittleEndian.AppendUint16(raw, u)
	}
	return raw
}

// locationText is what systemd 255 writes.
const locationText = `{"uuid":"5C9b6b80-7c39-4e5d-8f4b-2f3f0f0c1d2e","offset":140544,"kernelVersion":"6.12.0","osReleaseId":"dëbian","new":{"a":[1]}}`

func TestParseHibernateLocation(t *testing.T) {
	const uuid = "5c9b6b80-7c39-4e5d-8f4b-2f3f0f0c1d2e"
	tests := []struct {
		name string
		in   []byte
		want HibernateLocation
		err  string
	}{
		{"of systemd", efivar(locationText), HibernateLocation{uuid, 140544, "6.12.0"}, ""},
		{"without a zero", efivar(locationText)[:len(efivar(locationText))-2], HibernateLocation{uuid, 140544, "6.12.0"}, ""},
		{"id without dashes", efivar(`{"uuid":"5c9b6b807c394e5d8f4b2f3f0f0c1d2e","offset":0}`), HibernateLocation{uuid, 0, ""}, ""},
		{"largest offset", efivar(`{"uuid":"` + uuid + `","offset":2251799813685247}`), HibernateLocation{uuid, 1<<51 - 1, ""}, ""},
		{"larger offset", efivar(`{"uuid":"` + uuid + `","offset":2251799813685248}`), HibernateLocation{}, "beyond any disk"},
		{"offset of more than 64 bits", efivar(`{"uuid":"` + uuid + `","offset":18446744073709551616}`), HibernateLocation{}, "HibernateLocation: json"},
		{"offset below 0", efivar(`{"uuid":"` + uuid + `","offset":-1}`), HibernateLocation{}, "HibernateLocation: json"},
		{"no offset", efivar(`{"uuid":"` + uuid + `"}`), HibernateLocation{}, "no offset"},
		{"no uuid", efivar(`{"offset":1}`), HibernateLocation{}, `uuid ""`},
		{"short uuid", efivar(`{"uuid":"5c9b","offset":1}`), HibernateLocation{}, `uuid "5c9b"`},
		{"no digits", efivar(`{"uuid":"` + strings.Repeat("x", 32) + `","offset":1}`), HibernateLocation{}, "expected 32 hexadecimal digits"},
		{"no JSON", efivar("hello"), HibernateLocation{}, "HibernateLocation: invalid"},
		{"attributes alone", []byte{7, 0, 0, 0}, HibernateLocation{}, "HibernateLocation: unexpected end"},
		{"three bytes", []byte{7, 0, 0}, HibernateLocation{}, "3 bytes"},
		{"two bytes", []byte{7, 0}, HibernateLocation{}, "2 bytes"},
		{"half a character", append(efivar(locationText), 0), HibernateLocation{}, "expected attributes and text in UTF-16"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseHibernateLocation(test.in)
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("ParseHibernateLocation = %+v, %v; want %+v, %q", got, err, test.want, test.err)
			}
		})
	}
}

func FuzzParseHibernateLocation(f *testing.F) {
	f.Add(efivar(locationText))
	f.Add(efivar(`{"offset":1}`))
	f.Add([]byte{7, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := ParseHibernateLocation(raw)
		if err != nil {
			if l != (HibernateLocation{}) || !strings.HasPrefix(err.Error(), "HibernateLocation: ") {
				t.Errorf("ParseHibernateLocation = %+v, %v", l, err)
			}
			return
		}
		if len(l.UUID) != 36 || l.Offset < 0 || l.Offset > maxPage {
			t.Errorf("ParseHibernateLocation = %+v", l)
		}
	})
}
