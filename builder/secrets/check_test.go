package secrets

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getsops/sops/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/profiles"
)

// profileOf is a profile with secrets of files and keys: name, file, key.
func profileOf(recipient string, secrets ...[3]string) *profiles.Profile {
	p := &profiles.Profile{Age: profiles.Age{Recipient: recipient}}
	for _, s := range secrets {
		p.Secrets = append(p.Secrets, profiles.Secret{Name: s[0], File: s[1], Key: s[2]})
	}
	return p
}

func TestCheckNone(t *testing.T) {
	if set, err := Check(&profiles.Profile{}); set != nil || err != nil {
		t.Errorf("Check = %v, %v", set, err)
	}
}

func TestCheck(t *testing.T) {
	_, r1 := newKey(t)
	_, r2 := newKey(t)
	_, r3 := newKey(t)
	dir := t.TempDir()
	y := write(t, dir, "a.yaml", encrypt(t, YAML, plainOf["a.yaml"], to(r1, r2)))
	b := write(t, dir, "a.bin", encrypt(t, Binary, plainOf["a.bin"], to(r2, r3, r1)))
	e := write(t, dir, "a.env", encrypt(t, Dotenv, plainOf["a.env"], to(r2, r3)))
	p := profileOf("", [3]string{"one", y, "db/password"}, [3]string{"two", y, "db/port"}, [3]string{"three", b, ""}, [3]string{"four", y, ""})
	set, err := Check(p)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{r1, r2}
	slices.Sort(want)
	if diff := cmp.Diff(want, set.Recipients); diff != "" {
		t.Errorf("recipients: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{b, y}, slices.Sorted(maps.Keys(set.Files))); diff != "" {
		t.Errorf("files: -want +got\n%s", diff)
	}
	if f := set.Files[y]; f.Name != y || len(f.Data) == 0 {
		t.Errorf("%+v", f.Name)
	}
	p.Secrets = append(p.Secrets, profiles.Secret{Name: "five", File: e, Key: "PASSWORD"})
	if set, err = Check(p); err != nil || !slices.Equal(set.Recipients, []string{r2}) {
		t.Errorf("three files: %v", err)
	}
	for r, ok := range map[string]bool{r2: true, r1: false} {
		p.Age.Recipient = r
		_, err := Check(p)
		if ok && err != nil {
			t.Error(err)
		} else if !ok {
			wantError(t, err, fault.Input, fmt.Sprintf("%s: age.recipient %q is none of its recipients", e, r), fmt.Sprintf("=> sops rotate -i --add-age %s %s", r, e))
		}
	}
}

func TestCheckFindings(t *testing.T) {
	_, r1 := newKey(t)
	_, r2 := newKey(t)
	_, r3 := newKey(t)
	dir := t.TempDir()
	file := func(name string, recipients ...string) string {
		return write(t, dir, name, encrypt(t, FormatOf(name), plainOf["a"+filepath.Ext(name)], to(recipients...)))
	}
	y, b, two, three := file("y.yaml", r1), file("b.bin", r1), file("2.env", r2), file("3.ini", r3)
	r12, r23, r13 := file("12.env", r1, r2), file("23.env", r2, r3), file("13.env", r1, r3)
	plain := write(t, dir, "plain.yaml", []byte("a: hunter2\n"))
	shamir := write(t, dir, "shamir.env", encrypt(t, Dotenv, "A=hunter2\n", encryption{groups: [][]string{{r1}, {r1, r2}}}))
	tests := []struct {
		name      string
		recipient string
		secrets   [][3]string
		class     fault.Class
		want      []string
	}{
		{"no such key", "", [][3]string{{"s", y, "db/pasword"}}, fault.Config, []string{"secrets.s: key: " + y + " has no db/pasword; did you mean db/password?"}},
		{"nothing near", "", [][3]string{{"s", y, "token"}}, fault.Config, []string{`has no token; it has "db/password", "db/port"`}},
		{"a table", "", [][3]string{{"s", y, "db"}}, fault.Config, []string{"secrets.s: key: db in " + y + " is a table, expected one value"}},
		{"a list", "", [][3]string{{"s", y, "list"}}, fault.Config, []string{"is a list"}},
		{"null", "", [][3]string{{"s", y, "db/none"}}, fault.Config, []string{"is null"}},
		{"exempt", "", [][3]string{{"s", y, "note_unencrypted"}}, fault.Input, []string{`is not encrypted: its rule is unencrypted_suffix "_unencrypted"`}},
		{"a key of a binary file", "", [][3]string{{"s", b, "data"}}, fault.Config, []string{"is of binary format, which has no keys; found data", `=> key = ""`}},
		{"no file", "", [][3]string{{"s", "", "a"}}, fault.Config, []string{"secrets.s: file is missing"}},
		{"a file that is not there", "", [][3]string{{"s", filepath.Join(dir, "yy.yaml"), "a"}, {"s2", filepath.Join(dir, "yy.yaml"), "b"}}, fault.Input,
			[]string{filepath.Join(dir, "yy.yaml") + ": no such file; did you mean y.yaml?"}},
		{"several", "", [][3]string{{"s", plain, "a"}, {"s2", y, "no"}}, fault.Input, []string{"2 problems\n", plain + ": is not encrypted", "secrets.s2: key", "=> sops encrypt -i " + plain}},
		{"two keys", "", [][3]string{{"s", y, "db/port"}, {"s2", two, ""}}, fault.Input, []string{two + ": no key opens both it and " + y, "=> sops updatekeys " + two}},
		{"three keys", "", [][3]string{{"s", r12, ""}, {"s2", r23, ""}, {"s3", r13, ""}}, fault.Input, []string{r13 + ": no key opens it and all of the files before it, the last of which is " + r23}},
		{"another machine", r3, [][3]string{{"s", y, "db/port"}, {"s2", three, ""}}, fault.Input, []string{"2 problems", fmt.Sprintf("%s: age.recipient %q is none", y, r3), three + ": no key opens both"}},
		{"a part", r2, [][3]string{{"s", shamir, "A"}}, fault.Input, []string{fmt.Sprintf("age.recipient %q does not open it alone: 2 of its 2 key groups", r2)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := Check(profileOf(tt.recipient, tt.secrets...))
			wantError(t, err, tt.class, tt.want...)
			if set != nil {
				t.Error("a set and an error")
			}
		})
	}
	if _, err := Check(profileOf("", [3]string{"s", plain, "a"}, [3]string{"s2", plain, "b"})); err == nil || strings.Count(err.Error(), "is not encrypted") != 1 {
		t.Errorf("a file of two secrets: %v", err)
	}
	if _, err := Check(profileOf(r1, [3]string{"s", shamir, "A"})); err != nil {
		t.Errorf("a key that is in every group: %v", err)
	}
}

// TestCreationRules is about the recipients that .sops.yaml has for a file.
func TestCreationRules(t *testing.T) {
	_, r1 := newKey(t)
	_, r2 := newKey(t)
	tests := []struct {
		name, rules string
		want        string // "" is accepted
	}{
		{"its own", "creation_rules:\n  - path_regex: ^hosts/\n    age: " + r1 + "\n", ""},
		{"two", "creation_rules:\n  - age: " + r1 + "," + r2 + "\n", "has recipients for it that it is not encrypted for: \"" + r2 + "\""},
		{"as a list", "creation_rules:\n  - age: [" + r2 + "]\n", r2},
		{"key groups", "creation_rules:\n  - key_groups:\n    - age: [" + r1 + "]\n    - age: [" + r2 + "]\n", r2},
		{"the first that matches", "creation_rules:\n  - path_regex: \\.yaml$\n    age: " + r1 + "\n  - age: " + r2 + "\n", ""},
		{"a rule for others", "creation_rules:\n  - path_regex: ^a\\.yaml$\n    age: " + r2 + "\n", ""},
		{"no rules", "stores: {}\n", ""},
		{"no YAML", "creation_rules: {\n", "the rule for "},
		{"no recipient", "creation_rules:\n  - age: age1hunter\n", "the rule for "},
		{"no regular expression", "creation_rules:\n  - path_regex: (\n", "the rule for "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "hosts", "fox"), 0o755); err != nil {
				t.Fatal(err)
			}
			rules := write(t, dir, ".sops.yaml", []byte(tt.rules))
			name := write(t, filepath.Join(dir, "hosts", "fox"), "a.yaml", encrypt(t, YAML, plainOf["a.yaml"], to(r1)))
			_, err := Check(profileOf("", [3]string{"s", name, ""}))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, fault.Input, rules, tt.want)
			if _, err := Check(profileOf(r1, [3]string{"s", name, ""})); err != nil {
				t.Errorf("with the profile's recipient: %v", err)
			}
		})
	}
	// By a relative name, from the file's folder and not the working directory.
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("in", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "in", ".sops.yaml", []byte("creation_rules:\n  - path_regex: ^a\\.env$\n    age: "+r2+"\n"))
	write(t, "in", "a.env", encrypt(t, Dotenv, "A=hunter2\n", encryption{groups: [][]string{{r1}}, metadata: sops.Metadata{}}))
	_, err := Check(profileOf("", [3]string{"s", "in/a.env", "A"}))
	wantError(t, err, fault.Input, "in/a.env: "+filepath.Join(dir, "in", ".sops.yaml")+" has recipients", "=> sops updatekeys in/a.env")
}
