package qemutests

// plainText takes terminal control out of a stream, however it is cut into
// pieces. A move of the cursor becomes a new line, so that what a menu draws
// in two places does not read as one word.
//
// It knows the sequences of ECMA-48 that firmware, systemd-boot and Linux
// print; it does not keep a screen.
type plainText struct{ state ansiState }

type ansiState int

const (
	ansiText   ansiState = iota
	ansiEscape           // after ESC
	ansiCSI              // after ESC [
	ansiString           // after ESC ], P, X, ^ or _: to BEL or ESC \
	ansiStringEscape
	ansiCharset // after ESC ( and the like: one byte more
)

const (
	asciiESC = 0x1b
	asciiBEL = 0x07
)

// appendTo appends what in holds beside control sequences to out.
func (p *plainText) appendTo(out, in []byte) []byte {
	for _, c := range in {
		switch p.state {
		case ansiText:
			switch {
			case c == asciiESC:
				p.state = ansiEscape
			case c == '\n' || c == '\t' || c >= ' ' && c != 0x7f:
				out = append(out, c)
			}
		case ansiEscape:
			p.state = afterEscape(c)
		case ansiCSI:
			if c >= 0x40 && c <= 0x7e { // the final byte
				p.state = ansiText
				out = p.moved(out, c)
			}
		case ansiString:
			switch c {
			case asciiBEL:
				p.state = ansiText
			case asciiESC:
				p.state = ansiStringEscape
			}
		default: // ansiStringEscape, ansiCharset
			p.state = ansiText
		}
	}
	return out
}

func afterEscape(c byte) ansiState {
	switch c {
	case '[':
		return ansiCSI
	case ']', 'P', 'X', '^', '_':
		return ansiString
	case '(', ')', '*', '+', '#', '%':
		return ansiCharset
	case asciiESC:
		return ansiEscape
	}
	return ansiText
}

// moved appends a new line when the final byte of a sequence moves the cursor
// to another place or clears the screen.
func (p *plainText) moved(out []byte, final byte) []byte {
	switch final {
	case 'H', 'f', 'J', 'd':
		if len(out) == 0 || out[len(out)-1] != '\n' {
			return append(out, '\n')
		}
	}
	return out
}
