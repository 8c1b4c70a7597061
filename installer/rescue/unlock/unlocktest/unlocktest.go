// Package unlocktest has what tests of unlocking need: files as sops encrypts them, and a
// program in the place of mkimage-firstboot, which the test binary itself is.
package unlocktest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	sopsconfig "github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/yaml"

	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/firstboot/decrypt"
)

// variable makes a test binary the program.
const variable = "MKIMAGE_TEST_FIRSTBOOT"

// Program writes a program of a name that hands out secrets as mkimage-firstboot does. The
// package has a test TestFirstBootProgram, which calls Main.
func Program(t testing.TB, name string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\nexport %s=1\nexec %s -test.run='^TestFirstBootProgram$' -- \"$@\"\n", variable, self)
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Main is the program, where this process is to be it; else it returns.
func Main() {
	if os.Getenv(variable) != "1" {
		return
	}
	args := os.Args[slices.Index(os.Args, "--")+1:]
	want := []string{"secret", "NAME", "--json", "--root", "DIR", "--key-file", "-"}
	for i, w := range want {
		if len(args) != len(want) || w != "NAME" && w != "DIR" && args[i] != w {
			fail(fmt.Errorf("arguments %q, expected %q", args, want))
		}
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	key, err := agekey.Parse(text)
	if err != nil {
		fail(err)
	}
	c, err := firstboot.ReadConfig(filepath.Join(args[4], firstboot.ConfigPath))
	if err != nil {
		fail(err)
	}
	value, err := decrypt.Value(args[4], &c, key, args[1])
	if err != nil {
		fail(err)
	}
	os.Stdout.Write(value)
	os.Exit(0)
}

func fail(err error) {
	code := max(1, int(firstboot.CodeOf(err)))
	fmt.Printf("{\"error\": %q, \"hint\": %q, \"code\": %d}\n", err.Error(), firstboot.HintOf(err), code)
	os.Exit(code)
}

// Encrypt encrypts YAML as sops does, for the key of a recipient.
func Encrypt(t testing.TB, plain, recipient string) []byte {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := yaml.NewStore(&sopsconfig.YAMLStoreConfig{})
	branches, err := store.LoadPlainFile([]byte(plain))
	must(err)
	k, err := sopsage.MasterKeyFromRecipient(recipient)
	must(err)
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		Version: "3.13.3", LastModified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		UnencryptedSuffix: sops.DefaultUnencryptedSuffix, KeyGroups: []sops.KeyGroup{{k}},
	}}
	key, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	for _, err := range errs {
		must(err)
	}
	cipher := aes.NewCipher()
	mac, err := tree.Encrypt(key, cipher)
	must(err)
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, key, tree.Metadata.LastModified.Format(time.RFC3339))
	must(err)
	out, err := store.EmitEncryptedFile(tree)
	must(err)
	return out
}
