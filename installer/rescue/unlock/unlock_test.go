package unlock

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/agekey/agekeytest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/rescue/unlock/unlocktest"
)

// TestFirstBootProgram is mkimage-firstboot for the tests that start it.
func TestFirstBootProgram(*testing.T) { unlocktest.Main() }

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func newKey(t testing.TB) *age.X25519Identity {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	must(t, err)
	return key
}

// answers hands out lines, and fails the test for one too many.
func answers(t *testing.T, lines ...string) func(context.Context, string) ([]byte, error) {
	return func(_ context.Context, prompt string) ([]byte, error) {
		if len(lines) == 0 {
			t.Errorf("asked once more: %s", prompt)
			return nil, io.EOF
		}
		line := lines[0]
		lines = lines[1:]
		return []byte(line), nil
	}
}

// TestSearch looks for a key.
func TestSearch(t *testing.T) {
	mine, other := newKey(t), newKey(t)
	seal := func(k *age.X25519Identity) string { return string(agekeytest.Encrypted(t, k.String(), "pass")) }
	sealed, sealedOther := seal(mine), seal(other)
	none := firstboot.NewProblem(firstboot.CodeNoKey, "", "there is none")
	for _, tt := range []struct {
		name   string
		places []string // texts, "" has none
		ask    []string // nil: nobody can be asked
		typed  bool
		where  string
		code   firstboot.Code
	}{
		{"nowhere", []string{""}, nil, false, "", firstboot.CodeNoKey},
		{"no place", nil, []string{}, false, "", firstboot.CodeNoKey},
		{"plain", []string{"", mine.String()}, nil, false, "place 1", 0},
		{"of another machine", []string{other.String()}, nil, false, "", firstboot.CodeOtherKey},
		{"damaged, then good", []string{"AGE-SECRET-KEY-1", mine.String()}, nil, false, "place 1", 0},
		{"damaged", []string{"AGE-SECRET-KEY-1"}, nil, false, "", firstboot.CodeBadKey},
		{"plain before a passphrase", []string{sealed, mine.String()}, nil, false, "place 1", 0},
		{"passphrase", []string{sealed}, []string{"pass"}, false, "place 0", 0},
		{"third passphrase", []string{sealed}, []string{"a", "b", "pass"}, false, "place 0", 0},
		{"three wrong ones", []string{sealed}, []string{"a", "b", "c"}, false, "", firstboot.CodePassphrase},
		{"the same key twice", []string{sealed, sealed}, []string{""}, false, "", firstboot.CodeNoKey},
		{"two keys", []string{sealedOther, sealed}, []string{"pass", "pass"}, false, "place 1", 0},
		{"nobody to ask", []string{sealed}, nil, true, "", firstboot.CodeNoKey},
		{"skipped", []string{sealed}, []string{""}, false, "", firstboot.CodeNoKey},
		{"typed", nil, []string{mine.String()}, true, "what was typed", 0},
		{"typed at last", nil, []string{"x", other.String(), mine.String()}, true, "what was typed", 0},
		{"typed wrong", nil, []string{"x", "y", "z"}, true, "", firstboot.CodeBadKey},
		{"not typed", nil, []string{""}, true, "", firstboot.CodeNoKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Search{Recipients: []string{mine.Recipient().String()}, Typed: tt.typed, Memory: func() (int64, error) { return 1 << 40, nil }}
			s.Note = func(line string) {
				if strings.Contains(line, "SECRET-KEY-1Q") || strings.Contains(line, mine.String()) {
					t.Errorf("a note has a secret: %s", line)
				}
			}
			for i, text := range tt.places {
				s.Places = append(s.Places, Place{Name: "place " + string(rune('0'+i)), Read: func() ([]byte, error) {
					if text == "" {
						return nil, none
					}
					return []byte(text), nil
				}})
			}
			if tt.ask != nil {
				s.Ask = answers(t, tt.ask...)
			}
			found, err := s.Key(t.Context())
			if tt.code != 0 {
				if firstboot.CodeOf(err) != tt.code || found != nil {
					t.Errorf("Key: %v, %v; want code %d", found, err, tt.code)
				}
				return
			}
			if err != nil || found.Where != tt.where || !found.Key.Opens([]string{mine.Recipient().String()}) {
				t.Errorf("Key: %v, %v; want that on %s", found, err, tt.where)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := Search{Typed: true, Ask: func(context.Context, string) ([]byte, error) { cancel(); return nil, ctx.Err() }}
	if _, err := s.Key(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Key of who was interrupted: %v", err)
	}
	s = Search{Places: []Place{{Name: "p", Read: func() ([]byte, error) { return []byte(sealed), nil }}}, Ask: answers(t, "pass"), Memory: func() (int64, error) { return 1 << 10, nil }}
	if _, err := s.Key(t.Context()); firstboot.CodeOf(err) != firstboot.CodeMemory {
		t.Errorf("Key without memory: %v", err)
	}
}

// TestVault decrypts a secret, and tells what is wrong with it.
func TestVault(t *testing.T) {
	key := newKey(t)
	root, program := t.TempDir(), filepath.Join(t.TempDir(), firstboot.Program)
	unlocktest.Program(t, program)
	if v, err := FindVault(root, program); v != nil || err != nil {
		t.Errorf("FindVault where there is none: %v, %v", v, err)
	}
	file := firstboot.SecretsDir + "/s.yaml"
	text, err := json.Marshal(firstboot.Config{
		Version: firstboot.ConfigVersion, Age: &firstboot.Age{Recipients: []string{key.Recipient().String()}, Path: config.KeyPath},
		Secrets: []firstboot.Secret{{Name: "password", File: file, Format: "yaml", Key: "a"}, {Name: "gone", File: file, Format: "yaml", Key: "b"}},
	})
	must(t, err)
	put := func(name string, text []byte) {
		t.Helper()
		name = filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, 0o600))
	}
	put(firstboot.ConfigPath, text)
	put(file, unlocktest.Encrypt(t, "a: hunter2\n", key.Recipient().String()))
	v, err := FindVault(root, program)
	must(t, err)
	k, err := agekey.Parse([]byte(key.String()))
	must(t, err)
	other, err := agekey.Parse([]byte(newKey(t).String()))
	must(t, err)
	if got, err := v.Secret(t.Context(), k, "password"); err != nil || string(got) != "hunter2" {
		t.Errorf("Secret: %q, %v", got, err)
	}
	if _, err := v.Secret(t.Context(), k, "gone"); firstboot.CodeOf(err) != firstboot.CodeSecret {
		t.Errorf("Secret that its file lacks: %v", err)
	}
	if _, err := v.Secret(t.Context(), k, "none"); firstboot.CodeOf(err) != firstboot.CodeSecret {
		t.Errorf("Secret that there is not: %v", err)
	}
	if _, err := v.Secret(t.Context(), other, "password"); firstboot.CodeOf(err) != firstboot.CodeOtherKey {
		t.Errorf("Secret by another key: %v", err)
	}
	must(t, os.WriteFile(program, []byte("#!/bin/sh\necho broken >&2\nexit 3\n"), 0o755))
	if _, err := v.Secret(t.Context(), k, "password"); firstboot.CodeOf(err) != firstboot.CodeSecret || !strings.Contains(err.Error(), "broken") {
		t.Errorf("Secret by a program that fails: %v", err)
	}
	must(t, os.WriteFile(program, []byte("#!/bin/sh\nhead -c 65537 /dev/zero\n"), 0o755))
	if _, err := v.Secret(t.Context(), k, "password"); err == nil {
		t.Error("Secret: takes one that has no end")
	}
	v.Program = "/nowhere"
	if _, err := v.Secret(t.Context(), k, "password"); firstboot.CodeOf(err) != firstboot.CodeSecret {
		t.Errorf("Secret without the program: %v", err)
	}
	put(firstboot.ConfigPath, []byte("{"))
	if _, err := FindVault(root, program); err == nil {
		t.Error("FindVault: takes a configuration that is cut short")
	}
}

func TestReadPassword(t *testing.T) {
	name := filepath.Join(t.TempDir(), "password")
	for text, want := range map[string]string{"a b\n": "a b", "a\r\nb": "a", "a": "a", "": "", "\nb": ""} {
		must(t, os.WriteFile(name, []byte(text), 0o600))
		got, err := ReadPassword(name)
		if string(got) != want || (want == "") != (fault.ClassOf(err) == fault.Input && err != nil) {
			t.Errorf("ReadPassword of %q: %q, %v", text, got, err)
		}
	}
	if _, err := ReadPassword(name + "x"); fault.ClassOf(err) != fault.Input {
		t.Errorf("ReadPassword of none: %v", err)
	}
}
