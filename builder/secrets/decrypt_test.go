package secrets

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// ids are identities as Decrypt takes them.
func ids(list ...age.Identity) []age.Identity { return list }

func TestDecrypt(t *testing.T) {
	id, r := newKey(t)
	other, otherR := newKey(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{
		"a.yaml": {
			"db/password": "hunter2", "db/port": "5432", "db/tls": "true", "db/rate": "0.25", "db/empty": "", "note_unencrypted": "open",
			"": plainOf["a.yaml"],
		},
		"a.json": {
			"db/password": "hunter2", "db/port": "5432", "db/tls": "false", "note_unencrypted": "3",
			"": "{\n\t\"db\": {\n\t\t\"password\": \"hunter2\",\n\t\t\"port\": 5432,\n\t\t\"tls\": false\n\t},\n\t\"list\": [\n\t\t\"hunter2a\",\n\t\t{\n\t\t\t\"b\": 1\n\t\t}\n\t],\n\t\"note_unencrypted\": 3,\n\t\"none\": null\n}\n",
		},
		"a.env": {"PASSWORD": "hunter2", "TWO": "hunter2 \n lines", "EMPTY": "", "": plainOf["a.env"]},
		"a.ini": {"db/password": "hunter2", "db/port": "5432", "other/a": "hunter2", "": "; top\n[db]\n; of the password\npassword = hunter2\nport     = 5432\n\n[other]\na = hunter2\n"},
		"a.bin": {"": plainOf["a.bin"]},
	}
	for name, plain := range plainOf {
		for who, id := range map[string]age.Identity{"X25519": id, "hybrid": hybrid} {
			data := encrypt(t, FormatOf(name), plain, to(otherR, testSSH, r, hybrid.Recipient().String()))
			p, err := Decrypt(data, FormatOf(name), ids(id))
			if err != nil {
				t.Errorf("%s with %s: %v", name, who, err)
				continue
			}
			got := map[string]string{}
			for key := range want[name] {
				v, err := p.Value(key)
				if err != nil {
					t.Errorf("%s: %q: %v", name, key, err)
				}
				got[key] = string(v)
			}
			if diff := cmp.Diff(want[name], got); diff != "" {
				t.Errorf("%s with %s: -want +got\n%s", name, who, diff)
			}
			for _, key := range []string{"db", "list", "list/0", "none", "db/none", "sops", "sops/mac", "sops_mac", "data", "no"} {
				if v, err := p.Value(key); firstboot.CodeOf(err) != firstboot.CodeSecret {
					t.Errorf("%s: Value(%q) = %q, %v", name, key, v, err)
				}
			}
		}
	}
	if _, err := Decrypt(encrypt(t, Dotenv, "A=hunter2\n", to(r)), Dotenv, ids(other, id)); err != nil {
		t.Errorf("with the second of two keys: %v", err)
	}
}

// TestDecryptNot is about keys that do not open a file and files that were
// changed.
func TestDecryptNot(t *testing.T) {
	id, r := newKey(t)
	other, otherR := newKey(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOPS_AGE_KEY", id.String()) // which must not be used
	swap := func(tree *sops.Tree) {
		b := tree.Branches[0]
		b[0].Value, b[1].Value = b[1].Value, b[0].Value
	}
	again := func(tree *sops.Tree) { // whole, and of another data key
		tree.Branches[0][1].Value = tree.Metadata.MessageAuthenticationCode
	}
	tests := []struct {
		name  string
		spoil func(*sops.Tree)
		ids   []age.Identity
		code  firstboot.Code
		want  string
	}{
		{"whole", nil, ids(id), 0, ""},
		{"no key", nil, nil, firstboot.CodeNoKey, r},
		{"another key", nil, ids(other), firstboot.CodeOtherKey, fmt.Sprintf("it is %q, expected one of %q", otherR, r)},
		{"another key of another kind", nil, ids(hybrid), firstboot.CodeOtherKey, `it is "age1pq1`},
		{"two values swapped", swap, ids(id), firstboot.CodeSecret, "A: is damaged"},
		{"of another key of the file", again, ids(id), firstboot.CodeSecret, "B: is damaged"},
		{"a value less", func(tree *sops.Tree) { tree.Branches[0] = tree.Branches[0][1:] }, ids(id), firstboot.CodeSecret, "sops/mac: does not match"},
		{"in another order", func(tree *sops.Tree) {
			b := tree.Branches[0]
			b[0], b[1] = b[1], b[0]
		}, ids(id), firstboot.CodeSecret, "sops/mac: does not match"},
		{"an exempt value changed", func(tree *sops.Tree) { set(tree, "hunter2x", "C_unencrypted") }, ids(id), firstboot.CodeSecret, "sops/mac: does not match"},
		{"another time", func(tree *sops.Tree) { tree.Metadata.LastModified = tree.Metadata.LastModified.AddDate(0, 0, 1) }, ids(id), firstboot.CodeSecret, "sops/mac: is damaged"},
		{"another MAC", func(tree *sops.Tree) { tree.Metadata.MessageAuthenticationCode = tree.Branches[0][0].Value.(string) }, ids(id), firstboot.CodeSecret, "sops/mac: is damaged"},
		{"a plain value", func(tree *sops.Tree) { set(tree, "hunter2", "A") }, ids(id), firstboot.CodeSecret, "A: is not encrypted"},
		{"a type that the library crashes on", func(tree *sops.Tree) {
			set(tree, strings.Replace(tree.Branches[0][0].Value.(string), "type:str", "type:bytes", 1), "A")
		}, ids(id), firstboot.CodeSecret, "A: is damaged"},
		{"a type that it is not", func(tree *sops.Tree) {
			set(tree, strings.Replace(tree.Branches[0][0].Value.(string), "type:str", "type:int", 1), "A")
		}, ids(id), firstboot.CodeSecret, "A: is damaged"},
		{"a comment that was a value", func(tree *sops.Tree) {
			set(tree, strings.Replace(tree.Branches[0][0].Value.(string), "type:str", "type:comment", 1), "A")
		}, ids(id), firstboot.CodeSecret, "sops/mac: does not match"},
		{"another's data key", func(tree *sops.Tree) {
			var g sops.KeyGroup
			foreign := encrypt(t, Dotenv, "A=hunter2\n", to(otherR))
			f, err := Parse("a.env", foreign)
			if err != nil {
				t.Fatal(err)
			}
			g = append(g, tree.Metadata.KeyGroups[0][0])
			g[0].SetEncryptedDataKey(f.tree.Metadata.KeyGroups[0][0].EncryptedDataKey())
			tree.Metadata.KeyGroups[0] = g
		}, ids(id), firstboot.CodeSecret, "sops/age: the data key for " + r + " is damaged"},
		{"half of a data key", func(tree *sops.Tree) {
			if err := tree.Metadata.KeyGroups[0][0].Encrypt([]byte("0123456789")); err != nil {
				t.Fatal(err)
			}
		}, ids(id), firstboot.CodeSecret, "is damaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := to(r)
			e.spoil = tt.spoil
			p, err := Decrypt(encrypt(t, Dotenv, "A=hunter2\nB=hunter2b\nC_unencrypted=hunter2c\n", e), Dotenv, tt.ids)
			if tt.code == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var problem *firstboot.Problem
			if !errors.As(err, &problem) || problem.Code != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v (code %d); want %q (code %d)", err, firstboot.CodeOf(err), tt.want, tt.code)
			}
			if text := err.Error() + problem.Hint; strings.Contains(text, secretText) || p != nil {
				t.Errorf("%q, %v", text, p)
			}
		})
	}
}

// TestDecryptShamir is about files whose data key is in parts.
func TestDecryptShamir(t *testing.T) {
	id1, r1 := newKey(t)
	id2, r2 := newKey(t)
	_, r3 := newKey(t)
	e := encryption{groups: [][]string{{r1}, {r2, r1}, {r3}}, metadata: sops.Metadata{ShamirThreshold: 2}}
	data := encrypt(t, Dotenv, "A=hunter2\n", e)
	if p, err := Decrypt(data, Dotenv, ids(id1)); err != nil {
		t.Error(err)
	} else if v, err := p.Value("A"); string(v) != "hunter2" || err != nil {
		t.Errorf("Value = %q, %v", v, err)
	}
	if _, err := Decrypt(data, Dotenv, ids(id2)); firstboot.CodeOf(err) != firstboot.CodeOtherKey || !strings.Contains(err.Error(), r1) {
		t.Errorf("with the key of one group: %v", err)
	}
}

// TestValueOfAnotherType is about a file of binary format that sops could not
// write either: the MAC does not cover types.
func TestValueOfAnotherType(t *testing.T) {
	id, r := newKey(t)
	e := to(r)
	e.spoil = func(tree *sops.Tree) {
		set(tree, strings.Replace(tree.Branches[0][0].Value.(string), "type:str", "type:int", 1), "data")
	}
	p, err := Decrypt(encrypt(t, Binary, "4711", e), Binary, ids(id))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Value("")
	if firstboot.CodeOf(err) != firstboot.CodeSecret || err.Error() != "the decrypted file cannot be written as binary" {
		t.Errorf("Value: %v", err)
	}
}

// TestPlainPrints checks that no verb prints a value.
func TestPlainPrints(t *testing.T) {
	id, r := newKey(t)
	p, err := Decrypt(encrypt(t, Dotenv, "A=hunter2\n", to(r)), Dotenv, ids(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{p, *p, []any{p}} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "hunter2") || strings.Contains(got, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s prints %q", verb, got)
			}
		}
	}
}
