package strict

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

// FuzzDecode reads documents that may be anything. What is accepted must be
// accepted by the decoder of the TOML package too and give the same values;
// what is refused must be refused with a position inside of the document.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"text = 'x'\nflag = true\nsmall = -1\ncount = 0o17\nhex = 10\nwords = ['a', \"b\"]\ninner = {text = 'y', depth = {words = []}}\n[[items]]\nname = 'n'\ncount = 1_0\n",
		"[inner]\ntext = 'a'\n[inner.depth]\nwords = ['''a\nb''']\n[[items]]\nname = \"\\u0041\"\n[[items]]\nname = 'b'\n",
		"inner.depth.words = ['x']\ninner.text = 'y'\n",
		"a = 1.5\nb = 1979-05-27T07:32:00Z\nc = 07:32:00\nd = inf\n[e.f]\n[e]\n",
		"[[a]]\n[a.b]\n[[a.c]]\n[[a]]\n[a.b]\n",
		"words = ['!a']", "text = 1\ntext = 2", "= 1", "text = \"\xff\"", "a.b = 1\n[a.c]\n", "x = [[[{a = [1]}]]]", "\ufeffa = 1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, problems, complete := parse("f", data)
		var any map[string]any
		err := toml.Unmarshal(data, &any)
		if (len(problems) == 0) != (err == nil) {
			t.Fatalf("parse: %v; the TOML package: %v", problems, err)
		}
		if !complete && len(problems) == 0 {
			t.Fatal("a tree that is not complete, and no problem")
		}
		lines := strings.Count(string(data), "\n") + 1
		var got sample
		o, err := Decode("f", data, &got)
		if err != nil {
			for _, p := range append(problems, fill(reflect.ValueOf(&sample{}).Elem(), tree)...) {
				if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Column > len(data)+1 {
					t.Fatalf("a problem is outside of %d lines: %v", lines, p)
				}
			}
			return
		}
		for key, pos := range o {
			if pos.Line > lines || pos.Line < 1 && key != "" {
				t.Fatalf("%s is outside of %d lines: %v", key, lines, pos)
			}
		}
		var want sample
		if strings.Contains(string(data), "!") || got.Hex != 0 {
			return // means more here than in TOML
		}
		if err := toml.Unmarshal(data, &want); err != nil {
			t.Fatalf("the TOML package refuses it: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-TOML package +strict\n%s", diff)
		}
	})
}

// FuzzSetting reads keys and values of the command line over a document.
func FuzzSetting(f *testing.F) {
	for _, seed := range []string{"text=x", "words=['a']", "inner.depth.words=['!*']", "items.one.count=1", `items."x.y".words=[]`, "items=[{name='!one'}]", "a..b=1", "inner={text='a'\n}", "items.one.name=x"} {
		f.Add(seed)
	}
	l := Library{Kind: "thing", Builtin: files(map[string]string{"a": settingBase})}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSetting(text)
		if err != nil {
			return
		}
		var got sample
		o, err := l.Resolve("a", []Setting{s}, &got, func(*Findings) {})
		if err == nil {
			Values(got, o)
		}
	})
}
