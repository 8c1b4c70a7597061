package secrets

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/logging"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestFormOf(t *testing.T) {
	const (
		iv  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
		tag = "AAECAwQFBgcICQoLDA0ODw=="
	)
	whole := "ENC[AES256_GCM,data:aGk=,iv:" + iv + ",tag:" + tag + ",type:str]"
	tests := []struct{ text, kind, problem string }{
		{whole, "str", ""},
		{strings.Replace(whole, ":str", ":comment", 1), "comment", ""},
		{"", "", "is not encrypted"},
		{"hunter2", "", "is not encrypted"},
		{" " + whole, "", "is not encrypted"},
		{"enc" + whole[3:], "", "is not encrypted"},
		{whole + "hunter2", "", "does not go on like a value"},
		{whole + "]", "", "no known type"},
		{whole + " " + whole, "", "no known type"},
		{whole[:len(whole)-1], "", "does not go on"},
		{whole[:40], "", "does not go on"},
		{"ENC[AES256_CBC" + whole[14:], "", "does not go on"},
		{"ENC[hunter2]", "", "does not go on"},
		{strings.Replace(whole, ":str", ":bytes", 1), "", "no known type"},
		{strings.Replace(whole, ":str", ":", 1), "", "no known type"},
		{strings.Replace(whole, "aGk=", "", 1), "", "base64"},
		{strings.Replace(whole, "aGk=", "aGk", 1), "", "base64"},
		{strings.Replace(whole, "aGk=", "hunter2 ", 1), "", "base64"},
		{strings.Replace(whole, "aGk=", "aG\nk=", 1), "", "base64"},
		{strings.Replace(whole, iv, tag, 1), "", "base64"},
		{strings.Replace(whole, tag, iv, 1), "", "base64"},
		{strings.Replace(whole, tag, "AAECAwQFBgcICQoLDA0O", 1), "", "base64"},
	}
	for _, tt := range tests {
		kind, problem := formOf(tt.text)
		if kind != tt.kind || (problem == "") != (tt.problem == "") || !strings.Contains(problem, tt.problem) {
			t.Errorf("formOf(%q) = %q, %q; want %q, %q", tt.text, kind, problem, tt.kind, tt.problem)
		}
	}
}

// set changes a value of a tree below its first branch.
func set(tree *sops.Tree, value any, path ...any) {
	tree.Branches[0], _ = tree.Branches[0].Set(path, value)
}

// TestPlainValues puts plain values into encrypted files.
func TestPlainValues(t *testing.T) {
	const plain = "db:\n    password: hunter2\n    user_unencrypted: hunter2u\nlist: [hunter2, {a: 1}]\ndata: hunter2\n"
	_, r := newKey(t)
	tests := []struct {
		name string
		rule sops.Metadata
		do   func(*sops.Tree)
		want []string // none: it is accepted
	}{
		{"none", sops.Metadata{}, func(*sops.Tree) {}, nil},
		{"text", sops.Metadata{}, func(tree *sops.Tree) { set(tree, "hunter2", "db", "password") },
			[]string{`a.yaml: db/password: is not encrypted; its rule is: unencrypted_suffix "_unencrypted"`, "=> sops edit a.yaml"}},
		{"a number", sops.Metadata{}, func(tree *sops.Tree) { set(tree, 5432, "db", "port") }, []string{"a.yaml: db/port: is not encrypted"}},
		{"false", sops.Metadata{}, func(tree *sops.Tree) { set(tree, false, "db", "tls") }, []string{"a.yaml: db/tls: is not encrypted"}},
		{"null", sops.Metadata{}, func(tree *sops.Tree) { set(tree, nil, "db", "tls") }, nil},
		{"empty", sops.Metadata{}, func(tree *sops.Tree) { set(tree, "", "db", "tls") }, nil},
		{"white space", sops.Metadata{}, func(tree *sops.Tree) { set(tree, " ", "db", "tls") }, []string{"a.yaml: db/tls: is not encrypted"}},
		{"exempt", sops.Metadata{}, func(tree *sops.Tree) { set(tree, "hunter2", "tls_unencrypted", "below", "it") }, nil},
		{"nearly exempt", sops.Metadata{}, func(tree *sops.Tree) { set(tree, "hunter2", "unencrypted") }, []string{"a.yaml: unencrypted: is not"}},
		{"in a list", sops.Metadata{}, func(tree *sops.Tree) { set(tree, "hunter2", "list", 0) }, []string{"a.yaml: list/0: is not encrypted"}},
		{"in a table in a list", sops.Metadata{}, func(tree *sops.Tree) { set(tree, 1, "list", 1, "a") }, []string{"a.yaml: list/1/a: is not encrypted"}},
		{"several", sops.Metadata{}, func(tree *sops.Tree) { set(tree, "hunter2", "x"); set(tree, 1, "y") }, []string{"2 problems\na.yaml: x: is not", "\na.yaml: y: is not"}},
		{"more after it", sops.Metadata{}, func(tree *sops.Tree) {
			set(tree, fmt.Sprint(tree.Branches[0][2].Value)+"hunter2", "data")
		}, []string{"a.yaml: data: is not encrypted or is damaged"}},
		{"a second document", sops.Metadata{}, func(tree *sops.Tree) {
			tree.Branches = append(tree.Branches, sops.TreeBranch{{Key: "second", Value: "hunter2"}})
		}, []string{"a.yaml: second: is not encrypted"}},
		{"a number as a key", sops.Metadata{}, func(tree *sops.Tree) {
			set(tree, sops.TreeBranch{{Key: 1, Value: "hunter2"}}, "x")
		}, []string{"a.yaml: in x: a key that is no text"}},
		{"an empty key", sops.Metadata{}, func(tree *sops.Tree) { set(tree, "hunter2", "") }, []string{"a.yaml: at the top: a key that is empty"}},
		{"twice by a slash", sops.Metadata{}, func(tree *sops.Tree) { set(tree, "hunter2", "db/password") }, []string{"a.yaml: db/password: is there twice"}},
		{"a comment", sops.Metadata{}, func(tree *sops.Tree) {
			tree.Branches[0] = append(tree.Branches[0], sops.TreeItem{Key: sops.Comment{Value: " hunter2"}})
		}, []string{"a.yaml: a comment at the top is not encrypted", "=> sops rotate -i a.yaml"}},
		{"a comment below", sops.Metadata{}, func(tree *sops.Tree) {
			set(tree, sops.TreeBranch{{Key: sops.Comment{Value: " hunter2"}}, {Key: "y"}}, "x")
		}, []string{"a.yaml: a comment in x is not encrypted"}},
		{"an encrypted suffix", sops.Metadata{EncryptedSuffix: "word"}, func(*sops.Tree) {}, nil},
		{"plain with it", sops.Metadata{EncryptedSuffix: "word"}, func(tree *sops.Tree) { set(tree, "hunter2", "xword") },
			[]string{`a.yaml: xword: is not encrypted; its rule is: encrypted_suffix "word"`}},
		{"an encrypted regexp", sops.Metadata{EncryptedRegex: "^(pass|dat)"}, func(tree *sops.Tree) { set(tree, "hunter2", "x", "y") }, nil},
		{"plain with it", sops.Metadata{EncryptedRegex: "^(pass|dat)"}, func(tree *sops.Tree) { set(tree, "hunter2", "data") },
			[]string{`a.yaml: data: is not encrypted; its rule is: encrypted_regex "^(pass|dat)"`}},
		{"an unencrypted regexp", sops.Metadata{UnencryptedRegex: "^x$"}, func(tree *sops.Tree) { set(tree, "hunter2", "x", "y") }, nil},
		{"plain with it", sops.Metadata{UnencryptedRegex: "^x$"}, func(tree *sops.Tree) { set(tree, "hunter2", "xx", "y") },
			[]string{`a.yaml: xx/y: is not encrypted; its rule is: unencrypted_regex "^x$"`}},
		{"nothing", sops.Metadata{EncryptedRegex: "^nothing$"}, func(*sops.Tree) {},
			[]string{`a.yaml: nothing in it is encrypted: its rule is encrypted_regex "^nothing$", and it has 5 values`}},
		{"no values", sops.Metadata{}, func(tree *sops.Tree) { tree.Branches[0] = sops.TreeBranch{} }, []string{"nothing in it is encrypted"}},
		{"the rule changed", sops.Metadata{}, func(tree *sops.Tree) {
			tree.Metadata.UnencryptedSuffix, tree.Metadata.EncryptedRegex = "", "^db$"
			set(tree, tree.Branches[0][0].Value.(sops.TreeBranch)[0].Value, "db", "user_unencrypted")
		}, []string{"a.yaml: data: is encrypted and its rule says that it is not: encrypted_regex"}},
		{"an exempt comment", sops.Metadata{UnencryptedCommentRegex: " open"}, func(tree *sops.Tree) {
			tree.Branches[0] = append(tree.Branches[0], sops.TreeItem{Key: sops.Comment{Value: " open"}}, sops.TreeItem{Key: "x", Value: "hunter2"})
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := to(r)
			e.metadata, e.spoil = tt.rule, tt.do
			_, err := Parse("a.yaml", encrypt(t, YAML, plain, e))
			if tt.want != nil {
				wantError(t, err, fault.Input, tt.want...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPlainIn puts a plain value into a file of every other format.
func TestPlainIn(t *testing.T) {
	_, r := newKey(t)
	for name, key := range map[string]string{"a.json": "x", "a.env": "X", "a.ini": "db/x", "a.bin": "data"} {
		e := to(r)
		e.spoil = func(tree *sops.Tree) {
			var path []any
			for part := range strings.SplitSeq(key, "/") {
				path = append(path, part)
			}
			set(tree, "hunter2", path...)
		}
		_, err := Parse(name, encrypt(t, FormatOf(name), plainOf[name], e))
		wantError(t, err, fault.Input, name+": "+key+": is not encrypted")
	}
}

func TestDepth(t *testing.T) {
	_, r := newKey(t)
	for d, refused := range map[int]bool{-1: false, 0: false, 1: true} {
		n := maxDepth + d - 1
		plain := strings.Repeat(`{"a": `, n) + `{"b": "hunter2"}` + strings.Repeat("}", n)
		_, err := Parse("a.json", encrypt(t, JSON, plain, to(r)))
		if !refused && err != nil {
			t.Errorf("%+d: %v", d, err)
		} else if refused {
			wantError(t, err, fault.Input, "nested deeper than 100")
		}
	}
}

// TestQuiet is about comments that the library would log: they are refused
// before it decrypts, and nothing that it says reaches standard error.
func TestQuiet(t *testing.T) {
	id, r := newKey(t)
	e := to(r)
	e.spoil = func(tree *sops.Tree) { // whole by its form, and of another key
		tree.Branches[0] = append(tree.Branches[0], sops.TreeItem{Key: sops.Comment{Value: tree.Metadata.MessageAuthenticationCode}})
	}
	data := encrypt(t, YAML, plainOf["a.yaml"], e)
	var log bytes.Buffer
	for _, l := range logging.Loggers {
		l.SetOutput(&log)
	}
	if _, err := Decrypt(data, YAML, ids(id)); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %q", &log)
	}
}
