package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

// laptop makes a disk and its manifest.
func laptop(t *testing.T) (image, manifest string) {
	t.Helper()
	s, err := smalldisk.New(loader.SystemdBoot)
	if err != nil {
		t.Fatal(err)
	}
	image = filepath.Join(t.TempDir(), "laptop.img")
	m, err := s.Assemble(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	manifest = image + ".manifest.json"
	if err := os.WriteFile(manifest, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return image, manifest
}

func TestInventory(t *testing.T) {
	image, manifest := laptop(t)
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"inventory", "--image", image, "--manifest", manifest}, strings.NewReader(""), &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("code %d:\n%s", code, &errs)
	}
	if text := out.String(); !strings.Contains(text, "Rescue of demo (demo): its system is on") {
		t.Errorf("output:\n%s", text)
	}
	out.Reset()
	code := run(t.Context(), []string{"inventory", "--problems", "--image", image, "--manifest", manifest}, strings.NewReader(""), &out, &errs)
	if text := out.String(); code != 0 || !strings.HasPrefix(text, "Rescue of demo (demo): ") || strings.Contains(text, "\nSystem ") || strings.Contains(text, "\nDisk ") {
		t.Errorf("--problems: code %d:\n%s", code, text)
	}
	out.Reset()
	if code := run(t.Context(), []string{"inventory", "--json", "--image", image}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("code %d", code)
	}
	var inv inventory.Inventory
	if err := json.Unmarshal(out.Bytes(), &inv); err != nil || len(inv.Systems) != 1 || inv.Systems[0].Release != "Demo" || inv.Host != nil {
		t.Errorf("JSON: %v, %+v", err, inv)
	}
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image was changed: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	image, manifest := laptop(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		args []string
		code int
		want string
	}{
		{"no command", nil, nil, int(fault.Usage), "no command"},
		{"unknown command", nil, []string{"inventroy"}, int(fault.Usage), "unknown command"},
		{"unknown flag", nil, []string{"inventory", "--x"}, int(fault.Usage), "unknown flag"},
		{"argument", nil, []string{"inventory", image}, int(fault.Usage), "hint: mkimage-rescue --help"},
		{"no such image", nil, []string{"inventory", "--image", image + "x"}, int(fault.Target), "no such file"},
		{"no image", nil, []string{"inventory", "--image", "/dev/null"}, int(fault.Target), "is neither a disk nor an image"},
		{"no such manifest", nil, []string{"inventory", "--image", image, "--manifest", manifest + "x"}, int(fault.Input), "no such file"},
		{"no manifest", nil, []string{"inventory", "--image", image, "--manifest", image}, int(fault.Input), "manifest"},
		{"JSON", nil, []string{"inventory", "--json", "--image", image + "x"}, int(fault.Target), `"code": 5`},
		{"interrupted", cancelled, []string{"inventory", "--image", image}, exitInterrupted, "interrupted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.ctx == nil {
				tt.ctx = t.Context()
			}
			var out bytes.Buffer
			if code := run(tt.ctx, tt.args, strings.NewReader(""), &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("code %d; want %d and %q:\n%s", code, tt.code, tt.want, &out)
			}
		})
	}
}
