package main

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// TestSecret hands out one secret of a system, to who has the key.
func TestSecret(t *testing.T) {
	p := newPatient(t)
	other := newPatient(t)
	p.write(firstboot.SecretsDir+"/s.yaml", encrypted(t, "password: hunter2 x\n", p.key.Recipient().String()))
	args := []string{"secret", "password", "--root", p.root, "--key-file", "-"}
	if code, out, errs := p.run(p.key.String()+"\n", args...); code != 0 || out != "hunter2 x" || errs != "" {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
	for _, tt := range []struct {
		name, input string
		args        []string
		code        firstboot.Code
	}{
		{"another key", other.key.String(), args, firstboot.CodeOtherKey},
		{"no key", "", args, firstboot.CodeBadKey},
		{"another secret", p.key.String(), append([]string{"secret", "none"}, args[2:]...), firstboot.CodeSecret},
		{"no file", p.key.String(), []string{"secret", "password", "--root", other.root}, firstboot.CodeSecret},
	} {
		code, out, errs := p.run(tt.input, tt.args...)
		if code != int(tt.code) || strings.Contains(out+errs, "hunter2") {
			t.Errorf("%s: code %d; want %d:\n%s%s", tt.name, code, tt.code, out, errs)
		}
	}
}
