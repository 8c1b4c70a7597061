package strict

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// files makes the built-in files of a library.
func files(text map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, t := range text {
		m[name+suffix] = &fstest.MapFile{Data: []byte(t)}
	}
	return m
}

// folder makes a directory of files.
func folder(t *testing.T, text map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range text {
		if err := os.WriteFile(filepath.Join(dir, name+suffix), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// resolve resolves a document of built-in files, with what --set changes.
func resolve(t *testing.T, text map[string]string, name string, sets ...string) (sample, Origins, error) {
	t.Helper()
	l := Library{Kind: "thing", Builtin: files(text)}
	var settings []Setting
	for _, s := range sets {
		one, err := ParseSetting(s)
		if err != nil {
			t.Fatal(err)
		}
		settings = append(settings, one)
	}
	var s sample
	o, err := l.Resolve(name, settings, &s, func(*Findings) {})
	return s, o, err
}

func TestExtends(t *testing.T) {
	const parent = "text = 'p'\nflag = true\nwords = ['a', 'b']\n[inner]\ntext = 'i'\n[inner.depth]\nwords = ['d']\n" +
		"[[items]]\nname = 'one'\ncount = 1\nwords = ['w']\n[[items]]\nname = 'two'\ncount = 2\n"
	tests := []struct{ name, child, key, want string }{
		{"nothing", "", "text", `"p"`},
		{"scalar", "text = 'c'", "text", `"c"`},
		{"scalar to nothing", "text = ''\nflag = false", "text flag", `"" false`},
		{"list adds", "words = ['c']", "words", `"a" "b" "c"`},
		{"list has it already", "words = ['a', 'b', 'c']", "words", `"a" "b" "c"`},
		{"list takes away", "words = ['!a']", "words", `"b"`},
		{"list moves to the end", "words = ['!a', 'a']", "words", `"b" "a"`},
		{"list takes all", "words = ['!*', 'z']", "words", `"z"`},
		{"list takes all of none", "inner.depth.words = ['!*']", "inner.depth.words", "[]"},
		{"table", "[inner]\ntext = 'j'", "inner", `"j" "d"`},
		{"table inside", "inner.depth.words = ['e']", "inner", `"i" "d" "e"`},
		{"named table changes", "[[items]]\nname = 'one'\ncount = 7", "items", `"one" 7 "w" "two" 2 []`},
		{"what may be said is said", "[[items]]\nname = 'one'\nmaybe = false", "items", `"one" 1 "w" false "two" 2 []`},
		{"named table is added", "[[items]]\nname = 'six'", "items", `"one" 1 "w" "two" 2 [] "six" 0 []`},
		{"named table's list", "[[items]]\nname = 'one'\nwords = ['!w', 'v']", "items", `"one" 1 "v" "two" 2 []`},
		{"named table is taken away", "[[items]]\nname = '!one'", "items", `"two" 2 []`},
		{"all tables are taken away", "[[items]]\nname = '!*'\n[[items]]\nname = 'new'", "items", `"new" 0 []`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, o, err := resolve(t, map[string]string{"parent": parent, "child": "extends = 'parent'\n" + test.child}, "child")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, key := range strings.Fields(test.key) {
				for _, v := range Values(s, o) {
					if within(key, v.Key) {
						got = append(got, v.Text)
					}
				}
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("%q gives %s = %s; want %s", test.child, test.key, text, test.want)
			}
		})
	}
}

// TestExtendsOrigins follows values through three documents and the command
// line.
func TestExtendsOrigins(t *testing.T) {
	s, o, err := resolve(t, map[string]string{
		"a": "text = 'a'\nflag = true\nwords = ['w']\n[[items]]\nname = 'n'\ncount = 1",
		"b": "extends = 'a'\ntext = 'b'\n[[items]]\nname = 'n'\nwords = ['v']",
		"c": "extends = 'b'\nwords = ['x']",
	}, "c", "items.n.count=5")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range Values(s, o) {
		if !v.From.IsZero() {
			got[v.Key] = v.Text + " " + v.From.String()
		}
	}
	want := map[string]string{
		"text": `"b" builtin:b:2:1`, "flag": "true builtin:a:2:1", "words[0]": `"w" builtin:a:3:10`, "words[1]": `"x" builtin:c:2:10`,
		"items.n.name": `"n" --set`, "items.n.count": "5 --set", "items.n.words[0]": `"v" builtin:b:5:10`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if s.Extends != "" {
		t.Errorf("Extends is %q; want nothing once resolved", s.Extends)
	}
}

func TestResolveProblems(t *testing.T) {
	tests := []struct {
		name string
		text map[string]string
		want string
	}{
		{"itself", map[string]string{"a": "extends = 'a'"}, "builtin:a:1:11: extends: extends itself: a -> a"},
		{"circle", map[string]string{"a": "extends = 'b'", "b": "extends = 'c'", "c": "extends = 'b'"}, "builtin:c:1:11: extends: extends itself: b -> c -> b"},
		{"missing parent", map[string]string{"a": "extends = 'parnt'", "parent": ""}, `builtin:a:1:11: extends: no thing is named "parnt"; did you mean parent?`},
		{"missing built-in parent", map[string]string{"a": "extends = 'builtin:b'"}, `builtin:a:1:11: extends: no thing is named "builtin:b"`},
		{"extends is no text", map[string]string{"a": "extends = 1"}, "builtin:a:1:11: extends: expected text in quotes, found integer 1"},
		{"in both", map[string]string{"a": "extends = 'b'\nx = 1", "b": "y = 2"}, "2 problems\n" +
			"builtin:a:2:1: x: unknown key; expected one of count, extends, flag, hex, inner, items, small, text, words\n" +
			"builtin:b:1:1: y: unknown key; expected one of count, extends, flag, hex, inner, items, small, text, words"},
		{"taken away", map[string]string{"a": "extends = 'b'\nwords = ['!wrod']", "b": "words = ['word']"}, `builtin:a:2:10: words: "!wrod" takes away what is not inherited; did you mean word?`},
		{"table taken away", map[string]string{"a": "extends = 'b'\n[[items]]\nname = '!x'\ncount = 1", "b": "[[items]]\nname = 'x'"},
			`builtin:a:2:3: items: "!x" takes x away, so that nothing but its name can be set`},
		{"syntax hides what follows", map[string]string{"a": "extends = 'b'\n=", "b": "text = 1"}, "2 problems\nbuiltin:a:2:1: syntax: invalid character at start of key: U+003D '='\nbuiltin:b:1:8: text: expected text in quotes, found integer 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := resolve(t, test.text, "a")
			if err == nil || err.Error() != test.want || fault.ClassOf(err) != fault.Config {
				t.Errorf("class %d:\n%v\nwant class %d:\n%s", fault.ClassOf(err), err, fault.Config, test.want)
			}
		})
	}
}

// TestFindings leaves out what only repeats a problem of the decoder.
func TestFindings(t *testing.T) {
	l := Library{Kind: "thing", Builtin: files(map[string]string{
		"a": "extends = 'b'\ntxet = 'x'\n[inner]\ntext = 5", "b": "\n\nwords = ['q']\nflag = 1",
	})}
	var s sample
	_, err := l.Resolve("a", nil, &s, func(f *Findings) {
		f.Add("text", "is missing")        // its name was misspelled
		f.Add("inner", "is incomplete")    // a key of it was refused
		f.Add("inner.text.x", "is absent") // so was what it is in
		f.Add("inner.texture", "is bad")
		f.Add("words[0]", "is %q", "q")
	})
	want := "5 problems\n" +
		"builtin:a:2:1: txet: unknown key; did you mean text?\n" +
		"builtin:a:3:2: inner.texture: is bad\n" +
		"builtin:a:4:8: inner.text: expected text in quotes, found integer 5\n" +
		"builtin:b:3:10: words[0]: is \"q\"\n" +
		"builtin:b:4:8: flag: expected true or false, found integer 1"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	if f := NewFindings(nil); f.Err() != nil {
		t.Errorf("no findings: %v", f.Err())
	}
}

// TestPartial does not check what could not be read to its end: most of what
// it would find is in the part that is missing.
func TestPartial(t *testing.T) {
	tests := []struct {
		name    string
		text    map[string]string
		checked bool
	}{
		{"syntax", map[string]string{"a": "flag = true\n="}, false},
		{"syntax of the parent", map[string]string{"a": "extends = 'b'", "b": "="}, false},
		{"missing parent", map[string]string{"a": "extends = 'b'"}, false},
		{"circle", map[string]string{"a": "extends = 'a'"}, false},
		{"unknown key", map[string]string{"a": "x = 1"}, true},
		{"set twice", map[string]string{"a": "flag = true\nflag = true"}, true},
		{"whole", map[string]string{"a": ""}, true},
	}
	for _, test := range tests {
		checked := false
		l := Library{Kind: "thing", Builtin: files(test.text)}
		_, err := l.Resolve("a", nil, &sample{}, func(*Findings) { checked = true })
		if checked != test.checked || (err == nil) != (test.name == "whole") {
			t.Errorf("%s: checked %v, %v; want checked %v", test.name, checked, err, test.checked)
		}
	}
}

func TestSearch(t *testing.T) {
	first := folder(t, map[string]string{"a": "text = 'first'", "b": "extends = 'builtin:b'\nwords = ['first']"})
	second := folder(t, map[string]string{"a": "text = 'second'", "c": "text = 'second'", ".hidden": "", "with space": "", "d@e": ""})
	if err := os.Mkdir(filepath.Join(second, "dir.toml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(second, "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("c.toml", filepath.Join(second, "linked.toml")); err != nil {
		t.Fatal(err)
	}
	l := Library{Kind: "thing", Builtin: files(map[string]string{"a": "text = 'builtin'", "b": "text = 'builtin'", "z": ""}),
		Dirs: []string{filepath.Join(first, "absent"), first, second}}

	items, err := l.Items()
	if err != nil {
		t.Fatal(err)
	}
	want := []Item{{"a", first + "/a.toml"}, {"b", first + "/b.toml"}, {"c", second + "/c.toml"}, {"linked", second + "/linked.toml"}, {"z", "builtin:z"}}
	if diff := cmp.Diff(want, items); diff != "" {
		t.Errorf("Items: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "linked", "z"}, l.Names()); diff != "" {
		t.Errorf("Names: -want +got\n%s", diff)
	}
	for _, test := range []struct{ name, text string }{{"a", "first"}, {"b", "builtin"}, {"linked", "second"}, {"builtin:a", "builtin"}} {
		var s sample
		if _, err := l.Resolve(test.name, nil, &s, func(*Findings) {}); err != nil || s.Text != test.text {
			t.Errorf("Resolve(%q): text %q, %v; want %q", test.name, s.Text, err, test.text)
		}
	}
	for _, test := range []struct {
		name string
		want bool
	}{{"a", true}, {"builtin:b", true}, {"builtin:c", false}, {"x", false}, {"../" + filepath.Base(first) + "/a", false}, {"builtin:../b", false}, {"", false}} {
		if got := l.Has(test.name); got != test.want {
			t.Errorf("Has(%q) = %v; want %v", test.name, got, test.want)
		}
	}
}

// TestMade: what the program made comes before every file, and is named in problems.
func TestMade(t *testing.T) {
	dir := folder(t, map[string]string{"a": "text = 'dir'"})
	l := Library{Kind: "thing", Builtin: files(nil), Dirs: []string{dir}, Made: map[string][]byte{"a": []byte("text = 'made'"), "b": []byte("extends = 'a'\n\ncount = 'x'")}}
	var s sample
	if _, err := l.Resolve("a", nil, &s, func(*Findings) {}); err != nil || s.Text != "made" || !l.Has("a") {
		t.Errorf("%q, %v", s.Text, err)
	}
	if _, err := l.Resolve("b", nil, &s, func(*Findings) {}); err == nil || !strings.HasPrefix(err.Error(), "b:3:9: count") {
		t.Errorf("error %v", err)
	}
}

func TestNoSuchName(t *testing.T) {
	for _, test := range []struct{ in, hint string }{{"parnt", "did you mean parent?"}, {"zzzz", "mkimage things lists them"}} {
		_, _, err := resolve(t, map[string]string{"parent": ""}, test.in)
		if fault.ClassOf(err) != fault.Usage || fault.HintOf(err) != test.hint {
			t.Errorf("%q: %v, class %d, hint %q; want class %d, hint %q", test.in, err, fault.ClassOf(err), fault.HintOf(err), fault.Usage, test.hint)
		}
	}
}

func TestFilesThatAreNotRead(t *testing.T) {
	dir := folder(t, map[string]string{
		"least": strings.Repeat("#", maxFile-1) + "\n", "most": strings.Repeat("#", maxFile), "more": strings.Repeat("#", maxFile+1),
	})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.toml"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling.toml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "device.toml")); err != nil {
		t.Fatal(err)
	}
	l := Library{Kind: "thing", Builtin: files(nil), Dirs: []string{dir}}
	tests := []struct{ name, want string }{
		{"least", ""}, {"most", ""}, {"more", "larger than 1048576 bytes"},
		{"fifo", "is not a regular file"}, {"device", "is not a regular file"}, {"dangling", "no such file"},
	}
	for _, test := range tests {
		var s sample
		_, err := l.Resolve(test.name, nil, &s, func(*Findings) {})
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != fault.Input):
			t.Errorf("%s: %v, class %d; want %q, class %d", test.name, err, fault.ClassOf(err), test.want, fault.Input)
		}
	}
	broken := Library{Kind: "thing", Builtin: files(map[string]string{"a": ""}), Dirs: []string{filepath.Join(dir, "most.toml")}}
	if _, err := broken.Items(); fault.ClassOf(err) != fault.Input {
		t.Errorf("a file for a directory: %v; want class %d", err, fault.Input)
	}
	if diff := cmp.Diff([]string{"a"}, broken.Names()); diff != "" || broken.Has("a") {
		t.Errorf("Names: -want +got\n%s", diff)
	}
}
