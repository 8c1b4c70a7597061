package strict

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// maxFile is the size of the largest file that is read. Those that people
// write have a few kilobytes.
const maxFile = 1 << 20

// suffix of the files of a library; the rest of a file's name is the name by
// which it is asked for.
const suffix = ".toml"

// extends is the key that names the document that one changes.
const extends = "extends"

// builtinPrefix before a name asks for the built-in file even when another of
// that name comes first, and is how positions name built-in files.
const builtinPrefix = "builtin:"

// Library finds documents of one kind by name. A name is looked for in the
// directories in their order, then among the built-in files; the first wins.
type Library struct {
	Kind    string // in messages: "profile"
	Builtin fs.FS  // the built-in files, at its top
	Dirs    []string
	// Made are documents that the program has made, by name, which no file comes before.
	Made map[string][]byte
}

// Item is a document of a library.
type Item struct {
	Name string `json:"name"`
	File string `json:"file"` // path on the host, "builtin:NAME", or the name of what was made
}

// Builtin reports whether the document is built in.
func (i Item) Builtin() bool { return strings.HasPrefix(i.File, builtinPrefix) }

// Items returns what can be asked for, sorted by name. A directory that does
// not exist has nothing; one that cannot be read is an error of class
// fault.Input.
func (l *Library) Items() ([]Item, error) {
	byName := map[string]Item{}
	builtin, err := fs.ReadDir(l.Builtin, ".")
	if err != nil {
		return nil, fmt.Errorf("built-in %ss: %w", l.Kind, err)
	}
	for _, d := range builtin {
		if name, ok := strings.CutSuffix(d.Name(), suffix); ok {
			byName[name] = Item{name, builtinPrefix + name}
		}
	}
	for _, dir := range slices.Backward(l.Dirs) {
		list, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fault.New(fault.Input, "", "%w", err)
		}
		for _, d := range list {
			if name, ok := strings.CutSuffix(d.Name(), suffix); ok && isName(name) && !d.IsDir() {
				byName[name] = Item{name, filepath.Join(dir, d.Name())}
			}
		}
	}
	for name := range l.Made {
		byName[name] = Item{name, name}
	}
	var items []Item
	for _, item := range byName {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Name, b.Name) })
	return items, nil
}

// Names returns the names of all items, sorted; directories that cannot be
// read have none.
func (l *Library) Names() []string {
	items, err := l.Items()
	if err != nil {
		items, err = (&Library{Kind: l.Kind, Builtin: l.Builtin}).Items()
	}
	if err != nil {
		return nil
	}
	return names(items)
}

// Has reports whether a name, which may ask for a built-in document, leads to
// one.
func (l *Library) Has(name string) bool {
	items, err := l.Items()
	if err != nil {
		return false
	}
	_, ok := l.find(items, name)
	return ok
}

// PlainName returns the name of a document without what may stand before it.
func PlainName(name string) string { return strings.TrimPrefix(name, builtinPrefix) }

// isName reports whether a file of this name, without its suffix, is part of a
// library; editors leave others beside it.
func isName(name string) bool {
	return name != "" && name[0] != '.' && isBare(strings.ReplaceAll(name, ".", "-")) && !strings.ContainsAny(name, "@/")
}

// find returns the item that a name asks for.
func (l *Library) find(items []Item, name string) (Item, bool) {
	if plain, ok := strings.CutPrefix(name, builtinPrefix); ok {
		_, err := fs.Stat(l.Builtin, plain+suffix)
		return Item{plain, name}, err == nil
	}
	i := slices.IndexFunc(items, func(i Item) bool { return i.Name == name })
	if i < 0 {
		return Item{}, false
	}
	return items[i], true
}

// names returns the names of items.
func names(items []Item) []string {
	var list []string
	for _, item := range items {
		list = append(list, item.Name)
	}
	return list
}

// read returns the bytes of an item's file: a regular file, or a link to one.
func (l *Library) read(item Item) ([]byte, error) {
	if data, made := l.Made[item.File]; made {
		return data, nil
	}
	if name, ok := strings.CutPrefix(item.File, builtinPrefix); ok {
		return fs.ReadFile(l.Builtin, name+suffix)
	}
	// Without O_NONBLOCK the open of a FIFO would wait for a writer.
	f, err := os.OpenFile(item.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Input, "", "%s: is not a regular file", item.File)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	if len(data) > maxFile {
		return nil, fault.New(fault.Input, "", "%s: larger than %d bytes, the most that is read", item.File, maxFile)
	}
	return data, nil
}

// resolver follows one document to those that it extends.
type resolver struct {
	*Library
	items    []Item
	target   reflect.Type
	problems Problems
	broken   []string
	partial  bool // the chain does not reach its end
}

// Resolve reads the document that a name asks for with all that it extends and
// what the command line sets, into the struct that into points to, which has a
// key "extends". Validate then adds what it finds wrong with the result; the
// error, of class fault.Config, holds that and all problems found before. A
// name that does not exist is of class fault.Usage, a file that cannot be read
// of fault.Input.
func (l *Library) Resolve(name string, sets []Setting, into any, validate func(*Findings)) (Origins, error) {
	items, err := l.Items()
	if err != nil {
		return nil, err
	}
	first, ok := l.find(items, name)
	if !ok {
		known := names(items)
		hint := "mkimage " + l.Kind + "s lists them"
		if near := Nearest(name, known); near != "" {
			hint = "did you mean " + near + "?"
		}
		return nil, fault.New(fault.Usage, hint, "no %s is named %q", l.Kind, name)
	}
	target := reflect.ValueOf(into).Elem()
	r := &resolver{Library: l, items: items, target: target.Type()}
	chain, err := r.chain(first)
	if err != nil {
		return nil, err
	}
	if r.partial {
		return nil, r.problems.err()
	}
	merged := newTable(Position{File: first.File})
	for _, doc := range slices.Backward(chain) {
		merged = r.over(merged, doc)
	}
	for _, s := range sets {
		doc, problems := s.document(r.target, merged)
		r.problems = append(r.problems, problems...)
		r.check(doc)
		merged = r.over(merged, doc)
	}
	fill(target, merged)
	emptyLists(target)
	f := &Findings{origins: origins(merged), broken: r.broken, problems: r.problems}
	validate(f)
	return f.origins, f.Err()
}

// check refuses what does not fit in one document.
func (r *resolver) check(doc *table) {
	problems, broken := fillNoting(reflect.New(r.target).Elem(), doc)
	r.problems, r.broken = append(r.problems, problems...), append(r.broken, broken...)
}

func (r *resolver) over(base, doc *table) *table {
	merged, problems := merge(base, doc)
	r.problems = append(r.problems, problems...)
	return merged
}

// chain reads a document and those that it extends, the first of which is
// last.
func (r *resolver) chain(item Item) ([]*table, error) {
	var docs []*table
	seen := []Item{}
	for {
		seen = append(seen, item)
		data, err := r.read(item)
		if err != nil {
			return nil, err
		}
		doc, problems, complete := parse(item.File, data)
		r.problems = append(r.problems, problems...)
		r.partial = r.partial || !complete
		r.check(doc)
		docs = append(docs, doc)
		e := doc.index[extends]
		doc.keep(func(e *entry) bool { return e.name != extends })
		if e == nil || e.value.text == "" {
			return docs, nil
		}
		next, ok := r.find(r.items, e.value.text)
		if !ok {
			r.stop(e, "no %s is named %q%s", r.Kind, e.value.text, DidYouMean(e.value.text, names(r.items)))
			return docs, nil
		}
		if i := slices.Index(seen, next); i >= 0 {
			r.stop(e, "extends itself: %s%s", circle(seen[i:], next), r.shadowed(next))
			return docs, nil
		}
		item = next
	}
}

// stop notes that an extends leads nowhere.
func (r *resolver) stop(e *entry, format string, args ...any) {
	r.problems = append(r.problems, Problem{e.value.pos, e.name, fmt.Sprintf(format, args...)})
	r.partial = true
}

// circle names the documents of a circle: "a -> b -> a".
func circle(items []Item, again Item) string {
	return strings.Join(append(names(items), again.Name), " -> ")
}

// shadowed says how to extend a built-in document of the same name.
func (r *resolver) shadowed(item Item) string {
	builtin, ok := r.find(r.items, builtinPrefix+item.Name)
	if !ok || item.Builtin() {
		return ""
	}
	return fmt.Sprintf("; the built-in one is extends = %q", builtin.File)
}
