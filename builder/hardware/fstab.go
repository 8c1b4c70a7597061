package hardware

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Fstab returns the table of file systems, fstab(5). A root in memory has no
// line: the initramfs has made it, and a remount with the options of a tmpfs
// would fail.
func (h *Hardware) Fstab() []byte {
	var b strings.Builder
	b.WriteString("# what where type options dump pass\n")
	row := func(what, target, kind string, options []string, pass int) {
		list := strings.Join(options, ",")
		if list == "" {
			list = "defaults"
		}
		fmt.Fprintf(&b, "%s %s %s %s 0 %d\n", escapeField(quoteTag(what)), escapeField(target), escapeField(kind), escapeField(list), pass)
	}
	for _, m := range h.Mounts {
		if m.Type == "tmpfs" && m.Target == "/" {
			continue
		}
		row(m.What, m.Target, m.Type, m.Options, m.Pass)
	}
	for _, s := range h.Swaps {
		row(s.What, "none", "swap", s.Options, 0)
	}
	return []byte(b.String())
}

// fieldEscapes are the characters that a field must not have as they are, see
// fstab(5) and getmntent(3).
var fieldEscapes = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, "\r", `\015`, `\`, `\134`)

func escapeField(field string) string {
	escaped := fieldEscapes.Replace(field)
	if strings.HasPrefix(escaped, "#") {
		return `\043` + escaped[1:] // or the line would be a comment
	}
	return escaped
}

// unescapeField undoes escapes: a backslash and three octal digits.
func unescapeField(field string) string {
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

// parseFstab reads a table of file systems. Lines that mount nothing at boot,
// such as those of type "ignore", are left out. A line that mount(8) would not
// take is an error of class fault.Input: it stands for something that is not
// known then.
func parseFstab(text string) (mounts []Mount, swaps []Swap, err error) {
	mounts, swaps = []Mount{}, []Swap{}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' })
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, nil, fault.New(fault.Input, "", "line %d: got %d fields, expected at least 3", number, len(fields))
		}
		m := Mount{What: unquoteTag(unescapeField(fields[0])), Target: unescapeField(fields[1]), Type: unescapeField(fields[2]), Options: []string{"defaults"}}
		if len(fields) > 3 {
			m.Options = splitOptions(unescapeField(fields[3]))
		}
		if strings.Contains(m.What+m.Target+m.Type+strings.Join(m.Options, ""), "\x00") {
			return nil, nil, fault.New(fault.Input, "", "line %d: holds a NUL byte", number)
		}
		if len(fields) > 5 {
			if m.Pass, err = strconv.Atoi(fields[5]); err != nil || m.Pass < 0 {
				return nil, nil, fault.New(fault.Input, "", "line %d: field 6 is %q, expected a number", number, fields[5])
			}
		}
		switch {
		case m.Type == "swap":
			swaps = append(swaps, Swap{What: m.What, Options: m.Options})
		case path.IsAbs(m.Target):
			m.Target = path.Clean(m.Target)
			mounts = append(mounts, m)
		}
	}
	return mounts, swaps, nil
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
		return []string{"defaults"}
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
	_, known := tagDirs[tag]
	return tag, value, known && len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
}
