package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"unicode/utf8"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	sopsjson "github.com/getsops/sops/v3/stores/json"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
	"go.yaml.in/yaml/v3"
)

// storeOf returns what reads and writes a format.
func storeOf(format Format) sops.Store {
	c := config.NewStoresConfig()
	switch format {
	case YAML:
		return sopsyaml.NewStore(&c.YAML)
	case JSON:
		return sopsjson.NewStore(&c.JSON)
	case Dotenv:
		return dotenv.NewStore(&c.Dotenv)
	case INI:
		return ini.NewStore(&c.INI)
	}
	return sopsjson.NewBinaryStore(&c.JSONBinary)
}

// checkBytes returns what is wrong with data as text of any format.
func checkBytes(data []byte) error {
	switch {
	case len(data) > MaxFile:
		return fmt.Errorf("larger than %d bytes", MaxFile)
	case len(bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))) == 0:
		return errors.New("is empty")
	}
	return nil
}

// markers begin the lines that a merge of git leaves where both sides changed.
var markers = [][]byte{[]byte("<<<<<<<"), []byte("|||||||"), []byte(">>>>>>>")}

// conflict returns the line with the first marker of a merge, or 0.
func conflict(data []byte) int {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		for _, m := range markers {
			if rest, ok := bytes.CutPrefix(line, m); ok && len(bytes.TrimLeft(rest[:min(1, len(rest))], " \r\n")) == 0 {
				return n
			}
		}
	}
	return 0
}

// lineAt returns the line that offset is in, from 1.
func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}

// checkSyntax returns what the library would pass over or crash on. Its errors
// have a line and nothing that stands there.
func checkSyntax(format Format, data []byte) error {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return fmt.Errorf("line %d: a byte that is 0, which no encrypted file has", lineAt(data, int64(i)))
	}
	if !utf8.Valid(data) {
		return errors.New("is not UTF-8, as encrypted files are")
	}
	switch format {
	case YAML:
		return checkYAML(data)
	case JSON, Binary:
		return checkJSON(data)
	case Dotenv:
		return checkDotenv(data)
	}
	return nil
}

// checkJSON finds a file that was cut off: the library takes what there is.
func checkJSON(data []byte) error {
	var any json.RawMessage
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&any); err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("is cut off: the JSON has no end")
		case errors.As(err, &syntax):
			return fmt.Errorf("line %d: is no JSON", lineAt(data, syntax.Offset))
		}
		return errors.New("is no JSON")
	}
	if first := bytes.TrimSpace(any); first[0] != '{' {
		return errors.New("is no JSON object, as an encrypted file is")
	}
	if rest := data[d.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("line %d: there is more after the end of the JSON", lineAt(data, d.InputOffset()))
	}
	return nil
}

// checkDotenv finds the lines that are neither comments nor values.
func checkDotenv(data []byte) error {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if line = bytes.TrimSuffix(line, []byte("\n")); len(line) > 0 && line[0] != '#' && bytes.IndexByte(line, '=') < 1 {
			return fmt.Errorf("line %d: expected KEY=VALUE", n)
		}
	}
	return nil
}

// yamlLine finds where the YAML package did not go on, or that a key was
// there before.
var yamlLine = regexp.MustCompile(`(?m)^(?:yaml:)? *(line \d+: )(mapping key .* already defined)?`)

// lineOf returns the line that an error of the YAML package is about, and
// what little of it may be told, or "".
func lineOf(err error) string {
	switch m := yamlLine.FindStringSubmatch(err.Error()); {
	case m == nil:
		return ""
	case m[2] != "":
		return m[1] + "a key that is there twice: "
	default:
		return "near " + m[1] // or in the one after it
	}
}

// checkYAML refuses aliases. sops never writes one; the library follows them
// in every document after the first without an end.
func checkYAML(data []byte) error {
	for d, n := yaml.NewDecoder(bytes.NewReader(data)), 1; ; n++ {
		var doc yaml.Node
		err := d.Decode(&doc)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%sis no YAML", lineOf(err))
		}
		if len(doc.Content) == 1 && doc.Content[0].Kind != yaml.MappingNode {
			return fmt.Errorf("document %d: expected keys with values at the top, as an encrypted file has", n)
		}
		if line := aliasIn(&doc); line > 0 {
			return fmt.Errorf("line %d: an alias, which no encrypted file has", line)
		}
	}
}

// aliasIn returns the line of the first alias in a node, or 0.
func aliasIn(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		return n.Line
	}
	for _, c := range n.Content {
		if line := aliasIn(c); line > 0 {
			return line
		}
	}
	return 0
}
