package secrets

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/pgp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// plainOf is a plain file of each format.
var plainOf = map[string]string{
	"a.yaml": "# a comment of hunter2\ndb:\n    password: hunter2\n    port: 5432\n    tls: true\n    rate: 0.25\n    none: null\n    empty: \"\"\nlist:\n    - hunter2a\n    # in a list\n    - 7\nnote_unencrypted: open\n",
	"a.json": `{"db": {"password": "hunter2", "port": 5432, "tls": false}, "list": ["hunter2a", {"b": 1}], "note_unencrypted": 3, "none": null}`,
	"a.env":  "# a comment\nPASSWORD=hunter2\nTWO=hunter2 \\n lines\nEMPTY=\n",
	"a.ini":  "; top\n[db]\n; of the password\npassword = hunter2\nport = 5432\n[other]\na = hunter2\n",
	"a.bin":  "hunter2\nwith \x01 anything\n",
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]Format{
		"a.yaml": YAML, "x/a.yml": YAML, "a.json": JSON, "a.env": Dotenv, ".env": Dotenv, "a.ini": INI, "a": Binary, "a.txt": Binary, "a.yaml.bak": Binary, "a.YAML": Binary,
	} {
		if got := FormatOf(name); got != want {
			t.Errorf("FormatOf(%q) = %s; want %s", name, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	_, r1 := newKey(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	r2 := hybrid.Recipient().String()
	want := []string{r1, r2}
	slices.Sort(want)
	for name, plain := range plainOf {
		data := encrypt(t, FormatOf(name), plain, to(r2, r1, testSSH))
		f, err := Parse(name, data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(f.Recipients, want) || f.Name != name || f.Format != FormatOf(name) || !bytes.Equal(f.Data, data) {
			t.Errorf("%s: %q of format %s for %q", name, f.Name, f.Format, f.Recipients)
		}
	}
}

// testSSH is a recipient of age whose key no key file holds.
const testSSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"

func TestHas(t *testing.T) {
	_, r := newKey(t)
	for name, keys := range map[string]string{
		"a.yaml": "db/password db/port db/tls db/empty note_unencrypted -db -db/none -list -list/0 -sops -sops/mac -db/ -/db -second",
		"a.json": "db/password db/port -db -none -list -list/1/b",
		"a.env":  "PASSWORD EMPTY -password -sops_mac",
		"a.ini":  "db/password other/a -db -sops/mac",
		"a.bin":  "-data",
	} {
		plain := plainOf[name]
		if name == "a.yaml" {
			plain += "---\nsecond: hunter2\n"
		}
		f, err := Parse(name, encrypt(t, FormatOf(name), plain, to(r)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for key := range strings.FieldsSeq(keys) {
			key, no := strings.CutPrefix(key, "-")
			if f.Has(key) == no {
				t.Errorf("%s: Has(%q) = %t", name, key, !no)
			}
		}
		if !f.Has("") {
			t.Errorf("%s: the whole file is missing", name)
		}
	}
}

// TestNotAFile is about files that are of no use before their values are
// looked at.
func TestNotAFile(t *testing.T) {
	_, r := newKey(t)
	whole := encrypt(t, JSON, plainOf["a.json"], to(r))
	oneMore := to(r)
	oneMore.spoil = func(tree *sops.Tree) { tree.Branches[0] = append(tree.Branches[0], sops.TreeItem{Key: "x"}) }
	asYAML := encrypt(t, YAML, plainOf["a.yaml"], to(r))
	tests := []struct {
		name string
		data string
		want []string
	}{
		{"e.yaml", "", []string{"e.yaml: is empty"}},
		{"e.json", "\ufeff \n\t", []string{"e.json: is empty"}},
		{"p.yaml", "db:\n  password: hunter2\n", []string{"p.yaml: is not encrypted: it has no metadata of sops", "=> sops encrypt -i p.yaml"}},
		{"p.json", `{"a": "hunter2"}`, []string{"p.json: is not encrypted", "=> sops encrypt -i p.json"}},
		{"p.env", "A=hunter2\n", []string{"p.env: is not encrypted", "=> sops encrypt -i p.env"}},
		{"p.ini", "[a]\nb = hunter2\n", []string{"p.ini: is not encrypted", "=> sops encrypt -i p.ini"}},
		{"my key", "hunter2\n", []string{"my key: line 1: is no JSON", "=> sops encrypt -i 'my key'"}},
		{"p.bin", "{}", []string{"p.bin: is not encrypted"}},
		{"p", `"hunter2"`, []string{"p: is no JSON object"}},
		{"s.yaml", "hunter2\n", []string{"document 1: expected keys"}},
		{"s2.yaml", "- hunter2\n", []string{"document 1: expected keys"}},
		{"bad.yaml", "a: b\nc: {hunter2\n", []string{"bad.yaml: near line 1: is no YAML"}},
		{"twice.yaml", "a: hunter2\na: hunter2\n", []string{"twice.yaml: line 2: a key that is there twice: cannot be read as yaml"}},
		{"alias.yaml", "a: 1\n---\na: &x {b: *x}\n", []string{"alias.yaml: line 3: an alias"}},
		{"bad.env", "A=1\nhunter2\n", []string{"bad.env: line 2: expected KEY=VALUE"}},
		{"bad2.env", "=hunter2\n", []string{"line 1: expected KEY=VALUE"}},
		{"bad.ini", "[a]\nhunter2\n", []string{"bad.ini: cannot be read as ini"}},
		{"nul.env", "A=1\nB=hunter2\x00\n", []string{"line 2: a byte that is 0"}},
		{"latin.env", "A=hunter2\xff\n", []string{"is not UTF-8"}},
		{"cut.json", string(whole[:len(whole)/2]), []string{"cut.json: is cut off"}},
		{"more.json", string(whole) + "{}", []string{"there is more after the end"}},
		{"bad.json", "{\n\"a\": hunter2}", []string{"bad.json: line 2: is no JSON"}},
		{"m.yaml", strings.Replace(string(asYAML), "\nlist:", "\n<<<<<<< HEAD\nlist:", 1), []string{": a conflict of a merge", "=> git checkout --ours"}},
		{"m.env", "A=1\n>>>>>>> other\n", []string{"m.env: line 2: a conflict of a merge"}},
		{"m2.env", "A=1\n|||||||\n", []string{"m2.env: line 2: a conflict of a merge"}},
		{"no.env", "<<<<<<<<=hunter2\n", []string{"no.env: is not encrypted"}},
		{"table.yaml", "a: hunter2\nsops: 1\n", []string{"the metadata of sops cannot be used", "not a mapping"}},
		{"table.json", `{"a": "hunter2", "sops": {"version": "3"}}`, []string{"the metadata of sops cannot be used"}},
		{"a.conf", string(asYAML), []string{"a.conf: line 1: is no JSON", "=> its name must end in .yaml"}},
		{"a.conf", string(whole), []string{"a.conf: has values of JSON; by its name it is binary", "=> rename it to *.json"}},
		{"one.bin", string(encrypt(t, JSON, `{"a": "hunter2"}`, to(r))), []string{"one.bin: has values of JSON"}},
		{"two.bin", string(encrypt(t, Binary, "hunter2", oneMore)), []string{"two.bin: has values of JSON"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse(tt.name, []byte(tt.data))
			wantError(t, err, fault.Input, tt.want...)
			if f != nil {
				t.Error("a file and an error")
			}
		})
	}
}

// TestCut cuts encrypted files off at every length: what is accepted must be
// the whole but for the white space at its end.
func TestCut(t *testing.T) {
	_, r := newKey(t)
	for _, name := range []string{"a.json", "a.bin"} {
		data := encrypt(t, FormatOf(name), `{"a": {"b": "hunter2"}}`, to(r))
		whole := len(bytes.TrimSpace(data))
		for n := range data {
			if _, err := Parse(name, data[:n]); (err == nil) != (n >= whole) {
				t.Fatalf("%s: %d of %d bytes: %v", name, n, len(data), err)
			}
		}
	}
}

func TestSize(t *testing.T) {
	_, r := newKey(t)
	data := encrypt(t, JSON, plainOf["a.json"], to(r))
	for d, want := range map[int]string{-1: "", 0: "", 1: "larger than 16777216 bytes"} {
		padded := append(bytes.Clone(data), bytes.Repeat([]byte(" "), MaxFile+d-len(data))...)
		path := write(t, t.TempDir(), "a.json", padded)
		if _, err := Read(path); want == "" && err != nil {
			t.Errorf("%+d: %v", d, err)
		} else if want != "" {
			wantError(t, err, fault.Input, path, want)
		}
	}
}

func TestRead(t *testing.T) {
	_, r := newKey(t)
	dir := t.TempDir()
	path := write(t, dir, "secrets.yaml", encrypt(t, YAML, plainOf["a.yaml"], to(r)))
	if err := os.Symlink(path, filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Read(filepath.Join(dir, "link.yaml")); err != nil || f.Name != filepath.Join(dir, "link.yaml") {
		t.Errorf("by a symlink: %v", err)
	}
	for name, want := range map[string]string{
		"secret.yaml": "secret.yaml: no such file; did you mean secrets.yaml?",
		"fifo.yaml":   "fifo.yaml: not a regular file",
		".":           ": not a regular file",
	} {
		_, err := Read(filepath.Join(dir, name))
		wantError(t, err, fault.Input, want)
	}
}

// TestMetadata spoils what sops writes for the whole file.
func TestMetadata(t *testing.T) {
	_, r1 := newKey(t)
	_, r2 := newKey(t)
	onlyPGP := func(tree *sops.Tree) {
		tree.Metadata.KeyGroups = []sops.KeyGroup{{pgp.NewMasterKeyFromFingerprint("85D77543B3D624B63CEA9E6DBC17301B491B3F21")}}
	}
	mac := func(f func(string) string) func(*sops.Tree) {
		return func(tree *sops.Tree) {
			tree.Metadata.MessageAuthenticationCode = f(tree.Metadata.MessageAuthenticationCode)
		}
	}
	tests := []struct {
		name string
		e    encryption
		want []string
	}{
		{"no version", encryption{spoil: func(tree *sops.Tree) { tree.Metadata.Version = "" }}, []string{"a.yaml: sops/version: missing"}},
		{"no MAC", encryption{spoil: mac(func(string) string { return "" })}, []string{"a.yaml: sops/mac: missing", "=> sops encrypt -i a.yaml"}},
		{"plain MAC", encryption{spoil: mac(func(string) string { return "ABCD" })}, []string{"sops/mac: is not encrypted"}},
		{"MAC of a type", encryption{spoil: mac(func(s string) string { return strings.Replace(s, "type:str", "type:int", 1) })}, []string{"sops/mac: type int, expected str"}},
		{"all at once", encryption{spoil: func(tree *sops.Tree) {
			tree.Metadata.Version = ""
			mac(func(string) string { return "" })(tree)
			onlyPGP(tree)
		}}, []string{"3 problems", "sops/version", "sops/mac", "no recipient of age: found keys of pgp", "=> sops rotate -i --add-age"}},
		{"SSH alone", to(testSSH), []string{"no recipient is a key of age that a file can hold (age1…): found \"ssh-ed25519"}},
		{"damaged data key", encryption{spoil: func(tree *sops.Tree) { tree.Metadata.KeyGroups[0][0].SetEncryptedDataKey([]byte("x")) }},
			[]string{fmt.Sprintf("sops/age: the data key for %q is damaged", r1)}},
		{"Shamir", encryption{groups: [][]string{{r1}, {r2}}}, []string{"no key of age opens it alone: 2 of its 2 key groups are needed"}},
		{"Shamir without a threshold", encryption{groups: [][]string{{r1}, {r2}}, spoil: func(tree *sops.Tree) { tree.Metadata.ShamirThreshold = 0 }},
			[]string{"no key of age opens it alone: 2 of its 2 key groups are needed"}},
		{"a regular expression", encryption{metadata: sops.Metadata{UnencryptedRegex: "("}}, []string{"sops/unencrypted_regex: error parsing"}},
		{"the longest one", encryption{metadata: sops.Metadata{UnencryptedRegex: strings.Repeat("x", maxRegexp+1)}}, []string{"sops/unencrypted_regex: longer than 1000 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.e.groups == nil {
				tt.e.groups = [][]string{{r1}}
			}
			_, err := Parse("a.yaml", encrypt(t, YAML, plainOf["a.yaml"], tt.e))
			wantError(t, err, fault.Input, tt.want...)
		})
	}
	ok := encryption{groups: [][]string{{r1}}, metadata: sops.Metadata{UnencryptedRegex: strings.Repeat("x", maxRegexp)}}
	if _, err := Parse("a.yaml", encrypt(t, YAML, plainOf["a.yaml"], ok)); err != nil {
		t.Errorf("the longest regular expression: %v", err)
	}
}

// TestShamir is about keys that open a file with several key groups alone.
func TestShamir(t *testing.T) {
	_, r1 := newKey(t)
	_, r2 := newKey(t)
	_, r3 := newKey(t)
	for _, tt := range []struct {
		threshold int
		groups    [][]string
		want      []string
	}{
		{2, [][]string{{r1}, {r1, r2}, {r3}}, []string{r1}},
		{2, [][]string{{r1}, {r1, r1}, {r3}}, []string{r1}},
		{3, [][]string{{r1}, {r1, r2}, {r1, r3}}, []string{r1}},
		{0, [][]string{{r1}, {r1, r2}, {r1, r3}}, []string{r1}},
		{2, [][]string{{r2, r2}, {r1}, {r1}}, []string{r1}},
	} {
		e := encryption{groups: tt.groups, metadata: sops.Metadata{ShamirThreshold: tt.threshold}}
		f, err := Parse("a.env", encrypt(t, Dotenv, "A=hunter2\n", e))
		if err != nil || !slices.Equal(f.Recipients, tt.want) {
			t.Errorf("%d of %q: %v", tt.threshold, tt.groups, err)
		}
	}
}
