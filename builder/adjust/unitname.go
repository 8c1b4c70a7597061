package adjust

import (
	"fmt"
	"strings"
)

// unitName is the name of a unit in its parts: PREFIX[@[INSTANCE]].SUFFIX, see
// systemd.unit(5).
type unitName struct {
	prefix   string
	at       bool // has an @
	instance string
	suffix   string // with its dot
}

// unitSuffixes are the types of units. Devices and scopes have no file, but
// can be masked.
var unitSuffixes = []string{".service", ".socket", ".target", ".timer", ".mount", ".automount", ".swap", ".path", ".slice", ".device", ".scope"}

func parseUnitName(name string) (unitName, error) {
	for _, suffix := range unitSuffixes {
		if rest, ok := strings.CutSuffix(name, suffix); ok && rest != "" && !strings.ContainsAny(name, "/ \t\n") && len(name) < 256 {
			n := unitName{suffix: suffix}
			n.prefix, n.instance, n.at = strings.Cut(rest, "@")
			if n.prefix != "" {
				return n, nil
			}
		}
	}
	return unitName{}, fmt.Errorf("%q: expected the name of a unit, such as ssh.service", name)
}

func (n unitName) String() string {
	if n.at {
		return n.prefix + "@" + n.instance + n.suffix
	}
	return n.prefix + n.suffix
}

// isTemplate reports whether the unit is started by its instances only.
func (n unitName) isTemplate() bool { return n.at && n.instance == "" }

// template returns the name of the file that describes the unit when it has
// none of its own.
func (n unitName) template() unitName {
	n.instance = ""
	return n
}

// expand replaces the specifiers that make sense before a system runs; the
// others, such as %H, say something about a machine.
func (n unitName) expand(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i++; i == len(text) {
			return "", fmt.Errorf("%q: ends with %%", text)
		}
		switch text[i] {
		case '%':
			b.WriteByte('%')
		case 'n':
			b.WriteString(n.String())
		case 'N':
			b.WriteString(strings.TrimSuffix(n.String(), n.suffix))
		case 'p':
			b.WriteString(n.prefix)
		case 'i':
			b.WriteString(n.instance)
		case 'j':
			b.WriteString(n.prefix[strings.LastIndexByte(n.prefix, '-')+1:])
		default:
			return "", fmt.Errorf("%q: specifier %%%c is not known before the system runs", text, text[i])
		}
	}
	return b.String(), nil
}
