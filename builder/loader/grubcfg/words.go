package grubcfg

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// plain is a word that means itself without quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=,+@%-]+$`)

// reserved are the words of GRUB's language that plain fits.
var reserved = []string{"case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "menuentry", "select", "then", "time", "until", "while"}

// quote returns a word as GRUB reads it back.
func quote(word string) string {
	if plain.MatchString(word) && !slices.Contains(reserved, word) {
		return word
	}
	return quoted(word)
}

// quoted returns a word in single quotes, between which each character but these stands
// for itself.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// split returns the words of a line, as GRUB does. It refuses what quote does not write.
func split(line string) (words []string, err error) {
	rest := strings.TrimSpace(line)
	for rest != "" {
		var word string
		if word, rest, err = cutWord(rest); err != nil {
			return nil, err
		}
		words = append(words, word)
		rest = strings.TrimLeft(rest, " ")
	}
	return words, nil
}

// cutWord returns the first word of a text, and what is behind it.
func cutWord(text string) (word, rest string, err error) {
	var b strings.Builder
	for text != "" && text[0] != ' ' {
		switch c := text[0]; {
		case c == '\'':
			inner, after, ok := strings.Cut(text[1:], "'")
			if !ok {
				return "", "", fmt.Errorf("text %q: expected a quote to be closed", text)
			}
			b.WriteString(inner)
			text = after
		case strings.HasPrefix(text, `\'`):
			b.WriteByte('\'')
			text = text[2:]
		case c == '{' || c == '}' || plain.MatchString(text[:1]):
			b.WriteByte(c)
			text = text[1:]
		default:
			return "", "", fmt.Errorf("text %q: expected it in quotes", text)
		}
	}
	return b.String(), text, nil
}

// CommandLine returns the command line that the kernel gets of GRUB for some parameters
// as the kernel reads them: one with a space in it has double quotes, around all of it or
// what is behind its first =. GRUB puts them around all of it, puts a backslash in front
// of any other, and of a single one, and doubles backslashes: these it refuses.
func CommandLine(parameters []string) (string, error) {
	var out []string
	for _, p := range parameters {
		argument := p
		if key, value, ok := strings.Cut(p, `="`); ok && strings.HasSuffix(value, `"`) && key != "" && !strings.Contains(key, "=") {
			argument = key + "=" + strings.TrimSuffix(value, `"`)
		} else if len(p) > 2 && p[0] == '"' && p[len(p)-1] == '"' {
			argument = p[1 : len(p)-1]
		} else if strings.Contains(p, " ") {
			argument = "" // of which nobody knows where it ends
		}
		if err := checkArgument(argument); err != nil {
			return "", fmt.Errorf("kernel parameter %q: %w", p, err)
		}
		out = append(out, received(argument))
	}
	return strings.Join(out, " "), nil
}

// checkArgument refuses what the kernel would not get as it is.
func checkArgument(a string) error {
	if a == "" || strings.ContainsAny(a, `"'\`) || strings.ContainsFunc(a, control) || !utf8.ValidString(a) {
		return fmt.Errorf(`expected no ' and \, which GRUB changes, and " around all of it or its value alone`)
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// received returns what the kernel gets of an argument.
func received(argument string) string {
	if strings.Contains(argument, " ") {
		return `"` + argument + `"`
	}
	return argument
}

// arguments returns those that make a command line: the inverse of received.
func arguments(options string) (list []string, err error) {
	for options != "" {
		var a string
		rest, inQuotes := strings.CutPrefix(options, `"`)
		if inQuotes {
			var ok bool
			if a, rest, ok = strings.Cut(rest, `"`); !ok || !strings.Contains(a, " ") {
				return nil, fmt.Errorf("kernel command line %q: expected quotes to be closed, and a space between them", options)
			}
		} else {
			end := strings.IndexByte(options, ' ')
			if end < 0 {
				end = len(options)
			}
			a, rest = options[:end], options[end:]
		}
		if err := checkArgument(a); err != nil {
			return nil, fmt.Errorf("kernel command line %q: %w", options, err)
		}
		list = append(list, a)
		next, ok := strings.CutPrefix(rest, " ")
		if rest != "" && (!ok || next == "") {
			return nil, fmt.Errorf("kernel command line %q: expected one space between parameters", options)
		}
		options = next
	}
	return list, nil
}
