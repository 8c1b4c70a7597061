package secrets

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/getsops/sops/v3"
)

// maxDepth is how deep values may be nested. What people write has a few
// levels; parents are copied for each value below them.
const maxDepth = 100

// maxRegexp is the length of the longest regular expression of a file, in
// bytes: the library compiles it anew for each value.
const maxRegexp = 1000

// maxKey is how many bytes of a key a message shows.
const maxKey = 100

// rule checks the setting of a file that says which values are encrypted.
func (p *parser) rule() {
	m := p.file.tree.Metadata
	for _, r := range []struct{ name, text string }{
		{"unencrypted_regex", m.UnencryptedRegex}, {"encrypted_regex", m.EncryptedRegex},
		{"unencrypted_comment_regex", m.UnencryptedCommentRegex}, {"encrypted_comment_regex", m.EncryptedCommentRegex},
	} {
		if len(r.text) > maxRegexp {
			p.add("", "sops/%s: longer than %d bytes", r.name, maxRegexp)
		} else if _, err := regexp.Compile(r.text); err != nil {
			p.add("", "sops/%s: %v", r.name, err) // the library takes it for one that matches nothing
		}
	}
}

// ruleOf says in words what is encrypted in a file.
func ruleOf(m sops.Metadata) string {
	for _, r := range []struct{ name, text string }{
		{"encrypted_suffix", m.EncryptedSuffix}, {"unencrypted_suffix", m.UnencryptedSuffix},
		{"encrypted_regex", m.EncryptedRegex}, {"unencrypted_regex", m.UnencryptedRegex},
		{"encrypted_comment_regex", m.EncryptedCommentRegex}, {"unencrypted_comment_regex", m.UnencryptedCommentRegex},
	} {
		if r.text != "" {
			return fmt.Sprintf("%s %.100q", r.name, r.text)
		}
	}
	return "no rule"
}

// leaf is a value of the tree.
type leaf struct {
	key     string // with its parents before it
	top     bool   // in the first document, where keys are looked for
	value   any    // of a kind that YAML or JSON has
	visited bool   // must be encrypted
}

// values checks that every value is encrypted that must be. Which must be is
// left to the library: it decrypts a copy of the tree that has a number for
// each value, with a cipher that notes those that it is given.
func (p *parser) values() {
	var branches sops.TreeBranches
	w := &walker{p: p}
	for i, b := range p.file.tree.Branches {
		w.seen, w.top = map[string]bool{}, i == 0
		branches = append(branches, w.branch(b, "", 0))
	}
	if len(p.found.list) > p.before { // what follows would only repeat it
		return
	}
	c := &probe{walker: w}
	if _, err := (sops.Tree{Metadata: p.file.tree.Metadata, Branches: branches}).Decrypt(nil, c); err != nil {
		p.add("", "cannot be checked: its values have no form that sops knows")
		return
	}
	p.judge(w, c)
}

// judge notes the values that are not encrypted and must be, and those that
// are and need not be: the library would hand them out as they are.
func (p *parser) judge(w *walker, c *probe) {
	encrypted, empty := 0, 0
	p.file.exempt = map[string]bool{}
	rule, edit := ruleOf(p.file.tree.Metadata), p.restore()
	for _, l := range w.leaves {
		text, isText := l.value.(string)
		_, problem := formOf(text)
		switch {
		case l.visited && isText && text == "": // sops leaves it so; the MAC covers it
			empty++
		case l.visited && !isText:
			p.add(edit, "%s: is not encrypted, as its rule asks: %s", quoteKey(l.key), rule)
		case l.visited && problem != "":
			p.add(edit, "%s: %s; its rule is: %s", quoteKey(l.key), problem, rule)
		case l.visited:
			encrypted++
		case problem == "":
			p.add(edit, "%s: is encrypted and its rule says that it is not: %s", quoteKey(l.key), rule)
		case l.top:
			p.file.exempt[l.key] = true
		}
	}
	for _, key := range c.comments {
		p.add(p.command("rotate -i"), "a comment %s is not encrypted; its rule is: %s", key, rule)
	}
	if encrypted == 0 && len(p.found.list) == p.before {
		p.add(edit, "nothing in it is encrypted: its rule is %s, and it has %d values, of which %d are empty", rule, len(w.leaves), empty)
	}
	p.binary()
}

// restore is the hint for a file that was changed by hand.
func (p *parser) restore() string {
	return "restore the file as sops wrote it and enter the value with: " + p.command("edit")
}

// binary checks that a file of binary format has its one value.
func (p *parser) binary() {
	if p.file.Format != Binary {
		return
	}
	if b := p.file.tree.Branches[0]; len(b) != 1 || b[0].Key != "data" {
		p.add("rename it to *.json", "has values of JSON; by its name it is binary, where sops writes one value, data")
	}
}

// quoteKey is a key in a message.
func quoteKey(key string) string {
	if len(key) > maxKey {
		key = strings.ToValidUTF8(key[:maxKey], "") + "…"
	}
	if q := strconv.Quote(key); len(key)+2 != len(q) || strings.ContainsAny(key, " :") || key == "" {
		return q
	}
	return key
}

// walker copies a tree with a mark in place of each value.
type walker struct {
	p      *parser
	top    bool            // this is the first document
	seen   map[string]bool // keys of this document
	leaves []leaf
}

// markStart begins the text that stands for a value. No file has a byte 0, so
// that no comment looks like it.
const markStart = "\x00"

func (w *walker) branch(in sops.TreeBranch, parent string, depth int) sops.TreeBranch {
	out := sops.TreeBranch{}
	for _, item := range in {
		if c, ok := item.Key.(sops.Comment); ok {
			out = append(out, sops.TreeItem{Key: c})
			continue
		}
		name, ok := item.Key.(string)
		if !ok {
			w.p.add("", "%s: a key that is no text: sops takes text alone; put quotes around it", where(parent))
			continue
		}
		key := join(parent, name)
		if name == "" {
			w.p.add("", "%s: a key that is empty", where(parent))
			continue
		}
		if w.seen[key] {
			w.p.add("", "%s: is there twice", quoteKey(key))
			continue
		}
		w.seen[key] = true
		out = append(out, sops.TreeItem{Key: name, Value: w.value(item.Value, key, depth+1)})
	}
	return out
}

// value returns the copy of a value. Keys in a list have the number of their
// element as a parent.
func (w *walker) value(in any, key string, depth int) any {
	if depth > maxDepth {
		w.p.add("", "%s: nested deeper than %d", quoteKey(key), maxDepth)
		return nil
	}
	switch v := in.(type) {
	case nil:
		return nil
	case sops.Comment:
		return v
	case sops.TreeBranch:
		return w.branch(v, key, depth)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = w.value(e, join(key, strconv.Itoa(i)), depth+1)
		}
		return out
	case string, bool, int, float64, time.Time:
	default:
		w.p.add("", "%s: a value of a kind that sops has no form for", quoteKey(key))
		return nil
	}
	w.leaves = append(w.leaves, leaf{key: key, top: w.top, value: in})
	return markStart + strconv.Itoa(len(w.leaves)-1)
}

// join is the key of a value below a parent.
func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "/" + name
}

// where is the place of something that has no key of its own.
func where(parent string) string {
	if parent == "" {
		return "at the top"
	}
	return "in " + quoteKey(parent)
}

// probe is a cipher that decrypts nothing and notes what it is to decrypt.
type probe struct {
	walker   *walker
	comments []string // where those are that are not encrypted
}

// Encrypt is not used.
func (c *probe) Encrypt(any, []byte, string) (string, error) { return "", fmt.Errorf("not a cipher") }

// Decrypt implements sops.Cipher.
func (c *probe) Decrypt(text string, _ []byte, parents string) (any, error) {
	if n, ok := strings.CutPrefix(text, markStart); ok {
		i, err := strconv.Atoi(n)
		if err != nil {
			return nil, err
		}
		c.walker.leaves[i].visited = true
	} else if _, problem := formOf(text); problem != "" && text != "" {
		c.comments = append(c.comments, where(strings.ReplaceAll(strings.TrimSuffix(parents, ":"), ":", "/")))
	}
	return text, nil
}
