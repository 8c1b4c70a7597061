package fstab

import (
	"strconv"
	"strings"
)

// escapes are the characters that a field must not have as they are, see fstab(5) and
// getmntent(3).
var escapes = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, "\r", `\015`, `\`, `\134`)

func escape(field string) string {
	escaped := escapes.Replace(field)
	if strings.HasPrefix(escaped, "#") {
		return `\043` + escaped[1:] // or the line would be a comment
	}
	return escaped
}

// unescape undoes escapes: a backslash and three octal digits.
func unescape(field string) string {
	var b strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] == '\\' && i+4 <= len(field) {
			if n, err := strconv.ParseUint(field[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(field[i])
	}
	return b.String()
}

// splitOptions splits at commas, but not at those in double quotes, which
// values such as SELinux contexts have (mount(8)).
func splitOptions(text string) []string {
	options := []string{}
	quoted, from := false, 0
	for i, c := range []byte(text + ",") {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && (!quoted || i == len(text)):
			if o := text[from:i]; o != "" {
				options = append(options, o)
			}
			from = i + 1
		}
	}
	if len(options) == 0 {
		return []string{defaults}
	}
	return options
}

// unquoteTag removes the quotes that the value of a tag may have: LABEL="a".
func unquoteTag(what string) string {
	if tag, value, ok := quotedTag(what); ok {
		return tag + "=" + value[1:len(value)-1]
	}
	return what
}

// quoteTag puts quotes around a value that would else lose its own.
func quoteTag(what string) string {
	if tag, value, ok := quotedTag(what); ok {
		return tag + `="` + value + `"`
	}
	return what
}

// quotedTag splits a tag whose value stands in quotes.
func quotedTag(what string) (tag, value string, ok bool) {
	tag, value, _ = strings.Cut(what, "=")
	_, known := links[Tag(tag)]
	return tag, value, known && len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
}
