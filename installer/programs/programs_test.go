package programs

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestLoad(t *testing.T) {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: e.EncodeAll([]byte(text), nil)} }
	const absent = "mkimage was built without the program "
	tests := []struct {
		name      string
		in        fstest.MapFS
		err, hint string
	}{
		{"both", fstest.MapFS{"mkimage-firstboot.zst": packed("f"), "restic.zst": packed("r")}, "", ""},
		{"a clean clone", fstest.MapFS{"README.md": packed("")}, absent, "run make build"},
		{"one of two", fstest.MapFS{"mkimage-firstboot.zst": packed("f")}, absent, "run make build"},
		{"empty", fstest.MapFS{"mkimage-firstboot.zst": packed("f"), "restic.zst": packed("")}, "embedded program restic: empty", ""},
		{"not compressed", fstest.MapFS{"mkimage-firstboot.zst": {Data: []byte("\x7fELF")}, "restic.zst": packed("r")}, "embedded program mkimage-firstboot: ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := load(tt.in)
			if tt.err == "" {
				if err != nil || string(p.FirstBoot) != "f" || string(p.Restic) != "r" {
					t.Errorf("load = %q, %v; want both programs", p, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) || fault.HintOf(err) != tt.hint {
				t.Errorf("load: %v, hint %q; want %q, %q", err, fault.HintOf(err), tt.err, tt.hint)
			}
		})
	}
}
