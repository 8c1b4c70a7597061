package mounts

import (
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/layouts"
)

// encode writes a layout as the file of one.
func encode(l *layouts.Layout) []byte {
	e := &encoder{}
	e.text("description", l.Description)
	e.open("[esp]")
	e.size("size", l.ESP.Size)
	e.text("label", l.ESP.Label)
	e.text("mount", l.ESP.Mount)
	e.open("[root]")
	e.text("label", l.Root.Label)
	e.list("options", l.Root.Options)
	e.text("metadata", l.Root.Metadata)
	e.size("free", l.Root.Free)
	for _, s := range l.Subvolumes {
		e.open("[[subvolumes]]")
		e.text("name", s.Name)
		e.text("mount", s.Mount)
		e.list("options", s.Options)
		e.truth("nodatacow", s.NoDataCow)
		e.truth("early", s.Early)
	}
	if s := l.Swapfile; s.Subvolume != "" {
		e.open("[swapfile]")
		e.text("subvolume", s.Subvolume)
		e.text("name", s.Name)
		e.text("size", s.Size)
		e.size("image", s.Image)
	}
	if m := l.Tmpfs; m.Size != "" {
		e.open("[tmpfs_root]")
		e.text("size", m.Size)
		e.text("mode", m.Mode)
	}
	if p := l.Persist; p.Subvolume != "" {
		e.open("[persist]")
		e.text("subvolume", p.Subvolume)
		e.list("directories", p.Directories)
		e.list("files", p.Files)
	}
	e.open("[factory]")
	e.list("subvolumes", l.Factory.Subvolumes)
	return []byte(e.String())
}

// encoder writes TOML.
type encoder struct{ strings.Builder }

func (e *encoder) open(header string) { fmt.Fprintf(e, "\n%s\n", header) }

func (e *encoder) text(key, value string) { fmt.Fprintf(e, "%s = %s\n", key, quoteTOML(value)) }

func (e *encoder) size(key string, value layouts.Size) { e.text(key, value.String()) }

func (e *encoder) truth(key string, value bool) {
	if value {
		fmt.Fprintf(e, "%s = true\n", key)
	}
}

func (e *encoder) list(key string, values []string) {
	if len(values) == 0 {
		return
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quoteTOML(v)
	}
	fmt.Fprintf(e, "%s = [%s]\n", key, strings.Join(quoted, ", "))
}

// quoteTOML writes a basic string of TOML. What is no UTF-8 becomes U+FFFD, which no name
// of a layout can have.
func quoteTOML(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
