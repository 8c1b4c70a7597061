package secrets

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/getsops/sops/v3"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/logging"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// quiet stops the library from writing to standard error: it logs comments of
// files there. Its loggers are all made before main begins.
func quiet() {
	for _, l := range logging.Loggers {
		l.SetOutput(io.Discard)
	}
}

// parse is Parse for a format, without a name where there is none. It notes
// what is wrong and returns nil then.
func parse(found *findings, name string, format Format, data []byte) *File {
	quiet()
	f := &File{Name: name, Format: format, Data: data}
	p := &parser{found: found, file: f, before: len(found.list)}
	if p.load(data) {
		p.metadata()
		p.recipients()
		p.values()
	}
	if len(found.list) > p.before {
		return nil
	}
	return f
}

// parser checks one file.
type parser struct {
	found  *findings
	file   *File
	before int // findings that are not about this file
}

func (p *parser) add(hint, format string, args ...any) {
	p.found.add(fault.Input, p.file.Name, hint, format, args...)
}

// command is a hint to type a command of sops for the file.
func (p *parser) command(args string) string { return command(p.file.Name, args) }

// command is a hint to type a command of sops for a file: args, then its name.
func command(name, args string) string {
	switch {
	case name == "":
		name = "FILE"
	case strings.ContainsAny(name, " \t\n'\"\\$&|;<>()*?[]#~!`{}"):
		name = "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return "sops " + args + " " + name
}

// load reads the tree of values and the metadata, and reports whether there
// is something to check.
func (p *parser) load(data []byte) bool {
	encrypt := p.command("encrypt -i")
	if err := checkBytes(data); err != nil {
		p.add("", "%v", err)
		return false
	}
	if line := conflict(data); line > 0 {
		p.add("take one side whole, with git checkout --ours or --theirs, and make the other side's change again with: "+p.command("edit"),
			"line %d: a conflict of a merge, which was not resolved", line)
		return false
	}
	if err := checkSyntax(p.file.Format, data); err != nil {
		p.add(p.syntaxHint(), "%v", err)
		return false
	}
	store := storeOf(p.file.Format)
	if _, err := store.LoadPlainFile(data); err != nil { // its text may quote a line
		p.add(p.syntaxHint(), "%scannot be read as %s", lineOf(err), p.file.Format)
		return false
	}
	tree, err := store.LoadEncryptedFile(data)
	switch {
	case errors.Is(err, sops.MetadataNotFound):
		p.add(encrypt, "is not encrypted: it has no metadata of sops")
	case err != nil:
		p.add("", "the metadata of sops cannot be used: %v", err)
	}
	p.file.tree = tree
	return err == nil
}

// syntaxHint is for a file that is not of its format.
func (p *parser) syntaxHint() string {
	if p.file.Format == Binary {
		return "if it is not encrypted yet: " + p.command("encrypt -i") + "; if it is, its name must end in .yaml, .json, .env or .ini, as its format is"
	}
	return "restore it, or if it is not encrypted yet, mend it, then: " + p.command("encrypt -i")
}

// metadata checks what sops writes for the whole file.
func (p *parser) metadata() {
	m := p.file.tree.Metadata
	again := "remove what is below sops, then: " + p.command("encrypt -i")
	if m.Version == "" {
		p.add(again, "sops/version: missing")
	}
	if m.MessageAuthenticationCode == "" {
		p.add(again, "sops/mac: missing: nobody could see that a value was changed")
	} else if kind, problem := formOf(m.MessageAuthenticationCode); problem != "" {
		p.add(again, "sops/mac: %s", problem)
	} else if kind != "str" {
		p.add(again, "sops/mac: type %s, expected str", kind)
	}
	p.rule()
}

// recipients finds whose keys open the file.
func (p *parser) recipients() {
	m := p.file.tree.Metadata
	groups, others := map[string]int{}, map[string]int{}
	for _, group := range m.KeyGroups {
		seen := map[string]bool{}
		for _, key := range group {
			k, ok := key.(*sopsage.MasterKey)
			if !ok {
				others[key.TypeToIdentifier()]++
				continue
			}
			if seen[k.Recipient] {
				continue
			}
			seen[k.Recipient] = true
			groups[k.Recipient]++
			if !isKeyFile(k.Recipient) {
				continue
			}
			if _, err := age.ExtractHeader(armor.NewReader(strings.NewReader(k.EncryptedKey))); err != nil {
				p.add(p.command("rotate -i"), "sops/age: the data key for %q is damaged", k.Recipient)
			}
		}
	}
	need := needed(m)
	for r, n := range groups {
		p.file.all = append(p.file.all, r)
		if n >= need && isKeyFile(r) {
			p.file.Recipients = append(p.file.Recipients, r)
		}
	}
	slices.Sort(p.file.all)
	slices.Sort(p.file.Recipients)
	if len(p.file.Recipients) == 0 {
		p.noRecipient(need, others)
	}
}

// needed returns how many key groups must be opened: with several, sops splits
// the data key into as many parts.
func needed(m sops.Metadata) int {
	if len(m.KeyGroups) < 2 {
		return 1
	}
	return max(m.ShamirThreshold, 2)
}

// isKeyFile reports whether a recipient of age is one whose key is a line of a
// key file: not one of SSH or of a plug-in.
func isKeyFile(recipient string) bool {
	if _, err := age.ParseX25519Recipient(recipient); err == nil {
		return true
	}
	_, err := age.ParseHybridRecipient(recipient)
	return err == nil
}

// noRecipient notes why no key file opens the file.
func (p *parser) noRecipient(need int, others map[string]int) {
	hint := p.command("rotate -i --add-age RECIPIENT")
	switch all := p.file.all; {
	case need > 1:
		p.add("put the machine's recipient into one key group that has all keys, in .sops.yaml, then: "+p.command("updatekeys"),
			"no key of age opens it alone: %d of its %d key groups are needed (shamir_threshold)", need, len(p.file.tree.Metadata.KeyGroups))
	case len(all) > 0:
		p.add(hint, "no recipient is a key of age that a file can hold (age1…): found %s", quoted(all))
	default:
		kinds := make([]string, 0, len(others))
		for kind := range others {
			kinds = append(kinds, kind)
		}
		slices.Sort(kinds)
		p.add(hint, "no recipient of age: found keys of %s", strings.Join(kinds, ", "))
	}
}

// maxList is how many names a message lists.
const maxList = 8

// quoted lists names for a message.
func quoted(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i == maxList {
			fmt.Fprintf(&b, " and %d more", len(names)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", name)
	}
	return b.String()
}
