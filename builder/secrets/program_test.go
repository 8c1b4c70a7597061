package secrets

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// program is sops as its users run it.
type program struct {
	t    *testing.T
	path string
	home string // with the key in it
}

// newProgram is one that has a key.
func newProgram(t *testing.T, id *age.X25519Identity) program {
	p := program{t: t, path: imgtest.Sops(t), home: t.TempDir()}
	write(t, p.home, "key.txt", []byte(id.String()+"\n"))
	return p
}

// run runs the program and returns what it prints.
func (p program) run(args ...string) []byte {
	p.t.Helper()
	c := exec.Command(p.path, args...)
	c.Env = append(os.Environ(), "HOME="+p.home, "XDG_CONFIG_HOME="+p.home, "SOPS_AGE_KEY_FILE="+filepath.Join(p.home, "key.txt"))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		p.t.Fatalf("sops %q: %v\n%s", args, err, &stderr)
	}
	return out
}

// TestProgram reads what the program sops encrypted, and compares with what it
// decrypts.
func TestProgram(t *testing.T) {
	id, r := newKey(t)
	_, r2 := newKey(t)
	sops := newProgram(t, id)
	const lots = "# hunter2 # open\ntop: hunter2\ndb: # seen\n  password: hunter2 # beside it\n  plain_unencrypted: open\n  port: 0x10\n  big: 9007199254740993\n  rate: 1.5e3\n" +
		"  on: yes\n  off: false\n  day: 2026-01-02\n  none: ~\n  empty: ''\n  text: |\n    two\n    lines\nlist:\n  # of two\n  - hunter2\n  - [1, {a: true}]\n# at the end\n---\nsecond: hunter2\n"
	tests := []struct{ name, plain, rule, key, want string }{
		{"a.yaml", lots, "", "db/password", "hunter2"},
		{"a.yml", lots, "mac_only_encrypted: true", "db/text", "two\nlines\n"},
		{"suffix.yaml", lots, "unencrypted_suffix: rt", "top", "hunter2"},
		{"suffix2.yaml", lots, "encrypted_suffix: word", "db/password", "hunter2"},
		{"suffix3.yaml", lots, "encrypted_suffix: word, mac_only_encrypted: true", "db/password", "hunter2"},
		{"regex.yaml", lots, "encrypted_regex: ^(top|text)$", "db/text", "two\nlines\n"},
		{"regex2.yaml", lots, "unencrypted_regex: ^(port|list)$", "db/password", "hunter2"},
		{"comment.yaml", lots, "encrypted_comment_regex: ' beside'", "db/password", "hunter2"},
		{"comment2.yaml", lots, "unencrypted_comment_regex: ' seen'", "top", "hunter2"},
		{"a.json", plainOf["a.json"], "", "db/port", "5432"},
		{"b.json", plainOf["a.json"], "encrypted_regex: ^db$, mac_only_encrypted: true", "db/password", "hunter2"},
		{"a.env", plainOf["a.env"], "", "TWO", "hunter2 \n lines"},
		{"b.env", plainOf["a.env"], "unencrypted_regex: ^TWO$", "PASSWORD", "hunter2"},
		{"a.ini", plainOf["a.ini"], "", "db/password", "hunter2"},
		{"b.ini", plainOf["a.ini"], "encrypted_regex: ^password$", "db/password", "hunter2"},
		{"a.bin", plainOf["a.bin"], "", "", plainOf["a.bin"]},
		{"key", "\x00\xff\x80hunter2", "", "", "\x00\xff\x80hunter2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sops.t = t
			dir := t.TempDir()
			path := write(t, dir, tt.name, []byte(tt.plain))
			rules := write(t, dir, ".sops.yaml", []byte("creation_rules: [{age: '"+r+","+r2+"', "+tt.rule+"}]\n"))
			sops.run("--config", rules, "encrypt", "-i", path)
			compare(t, sops, path, tt.key, tt.want, id)
		})
	}
	t.Run("hints", func(t *testing.T) {
		sops.t = t
		followHints(t, sops, r)
	})
}

// compare reads a file that the program encrypted and compares with what it
// decrypts.
func compare(t *testing.T, sops program, path, key, want string, id age.Identity) {
	t.Helper()
	f, err := Read(path)
	if err != nil {
		data, _ := os.ReadFile(path)
		t.Fatalf("%v\n%s", err, data)
	}
	if !f.Has(key) {
		t.Errorf("%s has no %q", path, key)
	}
	p, err := Decrypt(f.Data, f.Format, ids(id))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Value(key); err != nil || string(v) != want {
		t.Errorf("Value(%q) = %q, %v; want %q", key, v, err, want)
	}
	if v, err := p.Value(""); err != nil || !bytes.Equal(v, sops.run("decrypt", path)) {
		t.Errorf("%v; the whole file is\n%q\nsops decrypts\n%q", err, v, sops.run("decrypt", path))
	}
}

// followHints does what hints say, to see that it helps.
func followHints(t *testing.T, sops program, r string) {
	_, r2 := newKey(t)
	dir := t.TempDir()
	path := write(t, dir, "a file.yaml", []byte("a: hunter2\n"))
	follow := func(err error, class fault.Class, command string) {
		t.Helper()
		wantError(t, err, class, "=> "+command)
		if err == nil {
			return
		}
		c := exec.Command("sh", "-c", `sops() { "$PROGRAM" "$@"; }; `+command)
		c.Dir = dir
		c.Env = append(os.Environ(), "PROGRAM="+sops.path, "HOME="+sops.home, "SOPS_AGE_KEY_FILE="+filepath.Join(sops.home, "key.txt"))
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	quoted := "'" + path + "'"
	write(t, dir, ".sops.yaml", []byte("creation_rules:\n  - age: "+r+"\n"))
	_, err := Read(path)
	follow(err, fault.Input, "sops encrypt -i "+quoted)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "a file.yaml", append([]byte("# a comment\n"), data...))
	_, err = Read(path)
	follow(err, fault.Input, "sops rotate -i "+quoted)
	_, err = Check(profileOf(r2, [3]string{"s", path, "a"}))
	follow(err, fault.Input, "sops rotate -i --add-age "+r2+" "+quoted)
	_, r3 := newKey(t)
	write(t, dir, ".sops.yaml", []byte("creation_rules:\n  - age: "+r+","+r3+"\n"))
	_, err = Check(profileOf("", [3]string{"s", path, "a"}))
	wantError(t, err, fault.Input, "=> sops updatekeys "+quoted)
	sops.runIn(dir, "updatekeys", "-y", path)
	if _, err := Check(profileOf(r3, [3]string{"s", path, "a"})); err != nil {
		t.Error(err)
	}
}

// runIn is run in a directory.
func (p program) runIn(dir string, args ...string) {
	p.t.Helper()
	p.t.Chdir(dir)
	p.run(args...)
}
