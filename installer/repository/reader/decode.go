package reader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// indexed is a pack, as a file of the index has it.
type indexed struct {
	ID    ID `json:"id"`
	Blobs []struct {
		ID     ID     `json:"id"`
		Type   string `json:"type"`
		Offset uint32 `json:"offset"`
		Length uint32 `json:"length"`
		Plain  uint32 `json:"uncompressed_length"`
	} `json:"blobs"`
}

// decodeIndex adds what a file of the index has, pack by pack. The oldest form is
// the list of packs alone.
func decodeIndex(text []byte, x *index) error {
	return members(text, "packs", func(d *json.Decoder) error {
		var p indexed
		if err := d.Decode(&p); err != nil {
			return err
		}
		return x.add(&p)
	})
}

// add takes over the blobs of a pack.
func (x *index) add(p *indexed) error {
	if len(x.packs) == math.MaxUint32 {
		return errors.New("too many packs")
	}
	for _, b := range p.Blobs {
		switch {
		case b.Length < overhead:
			return fmt.Errorf("pack %.8s…: blob %.8s… of %d bytes, expected at least %d", p.ID, b.ID, b.Length, overhead)
		case b.Type == "tree":
			x.trees.add(place{b.ID, uint32(len(x.packs)), b.Offset, b.Length, b.Plain})
		case b.Type == "data":
			x.data.add(place{b.ID, uint32(len(x.packs)), b.Offset, b.Length, b.Plain})
		default:
			return fmt.Errorf("pack %.8s…: blob %.8s… of type %.20q, expected data or tree", p.ID, b.ID, b.Type)
		}
	}
	x.packs = append(x.packs, p.ID)
	return nil
}

// members calls a function with a decoder that is at each member of a list, which
// is all of a text or a field of the object that it is. It has to decode it.
func members(text []byte, field string, call func(*json.Decoder) error) error {
	d := json.NewDecoder(bytes.NewReader(text))
	first, err := d.Token()
	if err != nil {
		return cut(err)
	}
	switch first {
	case json.Delim('['):
		err = elements(d, call)
	case json.Delim('{'):
		err = fields(d, field, call)
	default:
		return fmt.Errorf("JSON: %.20v, expected an object or a list", first)
	}
	if err != nil {
		return cut(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("JSON: more than one value")
	}
	return nil
}

// fields reads an object after its brace, of whose fields one is a list.
func fields(d *json.Decoder, field string, call func(*json.Decoder) error) error {
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if name != field {
			if err := d.Decode(new(json.RawMessage)); err != nil {
				return err
			}
			continue
		}
		first, err := d.Token()
		if err == nil && first == json.Delim('[') {
			err = elements(d, call)
		} else if err == nil && first != nil {
			err = fmt.Errorf("JSON: %s: %.20v, expected a list", field, first)
		}
		if err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// elements reads a list after its bracket.
func elements(d *json.Decoder, call func(*json.Decoder) error) error {
	for d.More() {
		if err := call(d); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// cut says of the end of a text that it should not be there.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
