package embedded

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestLoad(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	tests := []struct {
		name      string
		in        fstest.MapFS
		err, hint string
	}{
		{"all", fstest.MapFS{"mkimage-init": file("i"), "mkimage-hibernate": file("h"), "busybox.cpio.zst": file("b")}, "", ""},
		{"a clean clone", fstest.MapFS{"README.md": file("r")}, "mkimage was built without its initramfs programs", "run make build"},
		{"one of three", fstest.MapFS{"mkimage-init": file("i")}, "mkimage was built without its initramfs programs", "run make build"},
		{"made before there were three", fstest.MapFS{"mkimage-init": file("i"), "busybox.cpio.zst": file("b")}, "mkimage was built without its initramfs programs", "run make build"},
		{"cut off", fstest.MapFS{"mkimage-init": file("i"), "mkimage-hibernate": file("h"), "busybox.cpio.zst": file("")}, "embedded program busybox.cpio.zst: empty", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := load(tt.in)
			if tt.err == "" {
				if err != nil || string(p.Init) != "i" || string(p.Hibernate) != "h" || string(p.Busybox) != "b" {
					t.Errorf("load = %q, %v; want the three files", p, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) || fault.HintOf(err) != tt.hint {
				t.Errorf("load: %v, hint %q; want %q, %q", err, fault.HintOf(err), tt.err, tt.hint)
			}
		})
	}
}
