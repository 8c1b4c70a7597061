package bincache

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// maxNetrc bounds a netrc file, in bytes.
const maxNetrc = 1 << 20

// credentials are what a netrc file has for one host.
type credentials struct{ login, password string }

// readNetrc returns what a netrc file has for a host, "" for both where it has
// nothing. No error shows what is in the file.
func readNetrc(name, host string) (credentials, error) {
	f, err := os.Open(name)
	if err != nil {
		return credentials{}, fault.New(fault.Config, "", "netrc: %w", err)
	}
	defer f.Close()
	text, err := readAll(f, name, maxNetrc)
	if err != nil {
		return credentials{}, fault.New(fault.Config, "", "netrc: %w", err)
	}
	c, err := findNetrc(string(text), host)
	if err != nil {
		return credentials{}, fault.New(fault.Config, "", "%s: %w", name, err)
	}
	return c, nil
}

// findNetrc looks for a host in the text of a netrc file, as curl(1) reads it: words in
// any number of lines, which may be in double quotes; lines that begin with # are
// comments; the first entry of the host holds, and that called default for all others.
func findNetrc(text, host string) (found credentials, err error) {
	words, err := netrcWords(text)
	if err != nil {
		return found, err
	}
	var standard *credentials
	var entry *credentials // that is read
	ours := false          // one of the host was found
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w.text == "default" {
			entry = &credentials{}
			if standard == nil {
				standard = entry
			}
			continue
		}
		if i+1 == len(words) {
			return found, fmt.Errorf("line %d: %s of nothing", w.line, keyword(w.text))
		}
		i++
		value := words[i].text
		switch w.text {
		case "machine":
			entry = &credentials{}
			if strings.EqualFold(value, host) && !ours {
				ours, entry = true, &found
			}
		case "login", "password", "account":
			if entry == nil {
				return found, fmt.Errorf("line %d: %s before any machine", w.line, w.text)
			}
			switch w.text {
			case "login":
				entry.login = value
			case "password":
				entry.password = value
			}
		default:
			return found, fmt.Errorf("line %d: expected machine, default, login, password or account, found something else", w.line)
		}
	}
	if !ours && standard != nil {
		return *standard, nil
	}
	return found, nil
}

// keyword shows a word only where it is none of somebody's.
func keyword(word string) string {
	switch word {
	case "machine", "login", "password", "account":
		return word
	}
	return "a word"
}

// netrcWord is a word and its line, counted from 1.
type netrcWord struct {
	text string
	line int
}

var errQuote = errors.New("a quote that does not end")

// netrcWords splits the text. Macros, which no HTTP client runs, are left out: they go
// on to an empty line.
func netrcWords(text string) (words []netrcWord, err error) {
	inMacro := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		rest := strings.TrimSpace(line)
		if inMacro = inMacro && rest != ""; inMacro || strings.HasPrefix(rest, "#") {
			continue
		}
		for rest != "" {
			var word string
			if word, rest, err = netrcWord1(rest); err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			if word == "macdef" {
				inMacro = true
				break
			}
			words = append(words, netrcWord{word, number})
		}
	}
	return words, nil
}

// netrcWord1 takes the first word of a line.
func netrcWord1(line string) (word, rest string, err error) {
	if !strings.HasPrefix(line, `"`) {
		end := strings.IndexAny(line, " \t\r\n")
		if end < 0 {
			end = len(line)
		}
		return line[:end], strings.TrimLeft(line[end:], " \t\r\n"), nil
	}
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			return b.String(), strings.TrimLeft(line[i+1:], " \t\r\n"), nil
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errQuote
}
