package bootspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxDocument bounds a boot.json in bytes. One without specialisations has less
// than two thousand.
const MaxDocument = 1 << 20

// maxDepth bounds how deep objects and arrays may nest. Ours need six.
const maxDepth = 64

// parse reads JSON and refuses what encoding/json lets pass: keys that are there
// twice and text that is not UTF-8.
func parse(data []byte) (any, error) {
	if len(data) > MaxDocument {
		return nil, fmt.Errorf("%d bytes, expected at most %d", len(data), MaxDocument)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("found bytes that are not UTF-8, expected JSON")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil { // also where there is more behind it
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: %w, expected JSON", lineAt(data, syntax.Offset), err)
		}
		return nil, err
	}
	p := &parser{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	return p.value(0)
}

// parser makes a tree of JSON that is known to be well formed.
type parser struct {
	data []byte
	dec  *json.Decoder
}

// errorf makes an error about where the decoder is.
func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{lineAt(p.data, p.dec.InputOffset())}, args...)...)
}

func (p *parser) value(depth int) (any, error) {
	token, err := p.dec.Token()
	if err != nil {
		return nil, p.errorf("%w", err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxDepth {
		return nil, p.errorf("objects and arrays nest deeper than expected, at most %d", maxDepth)
	}
	if delim == '[' {
		return p.array(depth)
	}
	return p.object(depth)
}

func (p *parser) array(depth int) (any, error) {
	out := []any{}
	for p.dec.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := p.dec.Token()
	return out, err
}

func (p *parser) object(depth int) (any, error) {
	out := map[string]any{}
	for p.dec.More() {
		token, err := p.dec.Token()
		if err != nil {
			return nil, p.errorf("%w", err)
		}
		key := fmt.Sprint(token)
		if _, ok := out[key]; ok {
			return nil, p.errorf("key %.100q is there twice, expected it once", key)
		}
		if out[key], err = p.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := p.dec.Token()
	return out, err
}

// lineAt returns the line of an offset, from 1.
func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}
