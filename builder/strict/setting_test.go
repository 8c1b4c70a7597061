package strict

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

const settingBase = "text = 'p'\nwords = ['a']\n[[items]]\nname = 'one'\ncount = 1\n[[items]]\nname = 'x.y'\n"

func TestSettings(t *testing.T) {
	tests := []struct {
		name string
		sets []string
		want func(*sample)
	}{
		{"plain text", []string{"text=c d"}, func(s *sample) { s.Text = "c d" }},
		{"text that looks like a number", []string{"text=5"}, func(s *sample) { s.Text = "5" }},
		{"quoted text", []string{`text="c\td"`}, func(s *sample) { s.Text = "c\td" }},
		{"no text", []string{"text="}, func(s *sample) { s.Text = "" }},
		{"equals sign in the value", []string{"text=a=b"}, func(s *sample) { s.Text = "a=b" }},
		{"truth", []string{"flag=true"}, func(s *sample) { s.Flag = true }},
		{"number", []string{"small=-0x7"}, nil},
		{"own type", []string{"hex=ff"}, func(s *sample) { s.Hex = 255 }},
		{"list adds", []string{"words=['b']"}, func(s *sample) { s.Words = []string{"a", "b"} }},
		{"list takes away", []string{`words=["!a", "c"]`}, func(s *sample) { s.Words = []string{"c"} }},
		{"in a table", []string{"inner.depth.words=['d']"}, func(s *sample) { s.Inner.Depth.Words = []string{"d"} }},
		{"table", []string{"inner={text = 'i'}"}, func(s *sample) { s.Inner.Text = "i" }},
		{"named table", []string{"items.one.count=7", "items.one.words=['w']"}, func(s *sample) { s.Items[0].Count, s.Items[0].Words = 7, []string{"w"} }},
		{"said", []string{"items.one.maybe=false"}, func(s *sample) { s.Items[0].Maybe = new(bool) }},
		{"quoted name", []string{`items."x.y".count=7`}, func(s *sample) { s.Items[1].Count = 7 }},
		{"the last holds", []string{"text=a", "text=b"}, func(s *sample) { s.Text = "b" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := resolve(t, map[string]string{"a": settingBase}, "a", test.sets...)
			if test.want == nil {
				if err == nil {
					t.Errorf("%q was taken", test.sets)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := resolve(t, map[string]string{"a": settingBase}, "a")
			if err != nil {
				t.Fatal(err)
			}
			test.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestSettingProblems(t *testing.T) {
	tests := []struct{ in, want string }{
		{"txet=1", "--set txet: unknown key; did you mean text?"},
		{"inner.txt=1", "--set inner.txt: unknown key; did you mean text?"},
		{"inner.txt.x=1", "--set inner.txt: unknown key; did you mean text?"},
		{"text.x=1", "--set text: expected text in quotes, found a table"},
		{"flag=yes", "--set flag: expected true or false, found yes"},
		{"count=65536", "--set count: expected a whole number from 0 to 65535, found 65536"},
		{"hex=xyz", `--set hex: expected hexadecimal digits, found "xyz"`},
		{"words=b", "--set words: expected a list, found b"},
		{"words=['!b']", `--set words: "!b" takes away what is not inherited`},
		{"flag=true\ntext='x'", "--set flag: expected true or false, found true\ntext='x'"},
		{"text='x'\nflag=true", "--set text: expected text in quotes, found 'x'\nflag=true"},
		{"items.onne.count=1", `--set items.onne.count: no "onne" in items; did you mean one?`},
		{"items.one=1", `--set items.one: expected a key inside of "one"`},
		{"items=1", "--set items: expected a list, found integer 1"},
		{"items.one.name=two", "--set items.one.name: a name cannot be changed: take the element away and add another in a file"},
		{"items.one.cuont=1", "--set items.one.cuont: unknown key; did you mean count?"},
		{"extends=b", "--set extends: what is extended is for a file to say"},
	}
	for _, test := range tests {
		t.Run(test.in, func(t *testing.T) {
			_, _, err := resolve(t, map[string]string{"a": settingBase, "b": ""}, "a", test.in)
			if err == nil || err.Error() != test.want || fault.ClassOf(err) != fault.Config {
				t.Errorf("--set %s:\n%v\nwant\n%s", test.in, err, test.want)
			}
		})
	}
	l := Library{Kind: "thing", Builtin: files(map[string]string{"a": ""})}
	_, err := l.Resolve("a", []Setting{{Key: "flag", Value: "1", Below: "outer"}}, &sample{}, func(*Findings) {})
	if want := "--set outer.flag: expected true or false, found integer 1"; err == nil || err.Error() != want {
		t.Errorf("below: %v; want %s", err, want)
	}
	_, err = l.Resolve("a", []Setting{{Key: "flag", Value: "1", Flag: "--on"}}, &sample{}, func(*Findings) {})
	if want := "--on: flag: expected true or false, found integer 1"; err == nil || err.Error() != want {
		t.Errorf("a flag of its own: %v; want %s", err, want)
	}
}

func TestParseSetting(t *testing.T) {
	tests := []struct {
		in   string
		want Setting // zero means an error
	}{
		{"a=b", Setting{Key: "a", Value: "b"}},
		{"a.b==", Setting{Key: "a.b", Value: "="}},
		{"a=", Setting{Key: "a"}},
		{"a", Setting{}},
		{"=b", Setting{}},
		{`a."b=c`, Setting{}},
		{"", Setting{}},
	}
	for _, test := range tests {
		got, err := ParseSetting(test.in)
		if got != test.want || (err == nil) != (test.want != Setting{}) {
			t.Errorf("ParseSetting(%q) = %+v, %v; want %+v", test.in, got, err, test.want)
		}
		if err != nil && fault.ClassOf(err) != fault.Usage {
			t.Errorf("ParseSetting(%q): class %d; want %d", test.in, fault.ClassOf(err), fault.Usage)
		}
	}
}
