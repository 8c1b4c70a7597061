package source

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Limits of the files of Debian's control format that are read. The largest
// ones in the archive have fields of some 100 kB and stanzas below 200 kB.
const (
	maxControlFile = 256 << 20
	maxControlLine = 1 << 20
	maxStanza      = 4 << 20
)

// stanza is one paragraph of a file in Debian's control format
// (deb-control(5), Debian Policy 5.1): values by field name in small letters.
// A value of several lines keeps them, without the leading space.
type stanza map[string]string

// eachStanza calls each for every paragraph of r, in order. A field that
// occurs twice, a line that is none and more than the limits are errors, which
// name the line.
func eachStanza(r io.Reader, each func(stanza) error) error {
	lines := bufio.NewScanner(io.LimitReader(r, maxControlFile+1))
	lines.Buffer(make([]byte, 0, 64<<10), maxControlLine)
	p := stanzaParser{each: each}
	n, read := 0, 0
	for lines.Scan() {
		n++
		if read += len(lines.Bytes()) + 1; read > maxControlFile {
			return fmt.Errorf("line %d: more than %d bytes", n, maxControlFile)
		}
		if err := p.line(lines.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return p.end()
}

type stanzaParser struct {
	each  func(stanza) error
	now   stanza
	field string // that a continuation line belongs to
	more  *strings.Builder
	size  int // bytes of the stanza so far
}

func (p *stanzaParser) line(s string) error {
	switch {
	case strings.TrimRight(s, " \t\r") == "":
		return p.end()
	case s[0] == '#':
		return nil
	}
	if p.size += len(s); p.size > maxStanza {
		return fmt.Errorf("stanza of more than %d bytes", maxStanza)
	}
	if s[0] == ' ' || s[0] == '\t' {
		if p.field == "" {
			return fmt.Errorf("continuation %.40q: no field before it", s)
		}
		if p.more == nil {
			p.more = new(strings.Builder)
			p.more.WriteString(p.now[p.field])
		}
		p.more.WriteByte('\n')
		p.more.WriteString(strings.TrimRight(s[1:], " \t\r"))
		return nil
	}
	p.endField()
	name, value, ok := strings.Cut(s, ":")
	name = strings.ToLower(name)
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return fmt.Errorf("%.40q: expected a field, \"Name: value\"", s)
	}
	if p.now == nil {
		p.now = stanza{}
	}
	if _, twice := p.now[name]; twice {
		return fmt.Errorf("field %.40q: occurs twice", name)
	}
	p.field = name
	p.now[name] = strings.TrimSpace(value)
	return nil
}

// endField stores a value of several lines.
func (p *stanzaParser) endField() {
	if p.more != nil {
		p.now[p.field] = p.more.String()
	}
	p.field, p.more = "", nil
}

// end hands on the stanza, if there is one.
func (p *stanzaParser) end() error {
	p.endField()
	s := p.now
	p.now, p.size = nil, 0
	if s == nil {
		return nil
	}
	return p.each(s)
}
