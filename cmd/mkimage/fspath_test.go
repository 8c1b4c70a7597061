package main

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestParseFSPath(t *testing.T) {
	files := map[string]bool{"fs.img": true, "d/fs.img": true, "a:b.img": true, "/dev/sda2": true}
	tests := []struct {
		name, in string
		want     fsPath
	}{
		{"file system alone", "fs.img", fsPath{"fs.img", ".", true, false}},
		{"colon alone", "fs.img:", fsPath{"fs.img", ".", false, false}},
		{"top level", "fs.img:/", fsPath{"fs.img", ".", false, false}},
		{"subvolume", "fs.img:@home", fsPath{"fs.img", "@home", false, false}},
		{"path in subvolume", "fs.img:@home/user/x", fsPath{"fs.img", "@home/user/x", false, false}},
		{"slash after colon", "fs.img:/@/etc", fsPath{"fs.img", "@/etc", false, false}},
		{"no colon", "fs.img/@/etc", fsPath{"fs.img", "@/etc", false, false}},
		{"folder", "d/fs.img:@", fsPath{"d/fs.img", "@", false, false}},
		{"device", "/dev/sda2:@/etc", fsPath{"/dev/sda2", "@/etc", false, false}},
		{"colon in name", "a:b.img:@/c:d", fsPath{"a:b.img", "@/c:d", false, false}},
		{"colon in path", "fs.img:@/c:d/e", fsPath{"fs.img", "@/c:d/e", false, false}},
		{"name of the file system in the path", "fs.img:@/fs.img", fsPath{"fs.img", "@/fs.img", false, false}},
		{"dot dot", "fs.img:@/../../etc", fsPath{"fs.img", "etc", false, false}},
		{"ESP", "fs.img:esp:", fsPath{"fs.img", ".", false, true}},
		{"path on the ESP", "fs.img:esp:/EFI/BOOT", fsPath{"fs.img", "EFI/BOOT", false, true}},
		{"path on the ESP without a slash", "fs.img:esp:EFI", fsPath{"fs.img", "EFI", false, true}},
		{"dot dot on the ESP", "fs.img:esp:/../esp:x", fsPath{"fs.img", "esp:x", false, true}},
		{"no ESP without its colon", "fs.img:esp/x", fsPath{"fs.img", "esp/x", false, false}},
		{"subvolume called like the ESP", "fs.img:/esp:/x", fsPath{"fs.img", "esp:/x", false, false}},
		{"double slash", "fs.img://@//etc/", fsPath{"fs.img", "@/etc", false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseFSPath(tt.in, func(name string) bool { return files[name] })
			if err != nil || got != tt.want {
				t.Errorf("parseFSPath(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
			}
		})
	}
	for _, in := range []string{"", ":", "/", "absent.img", "absent.img:@/etc", "d:fs.img"} {
		if got, err := parseFSPath(in, func(name string) bool { return files[name] }); fault.ClassOf(err) != fault.Input {
			t.Errorf("parseFSPath(%q) = %+v, %v; want an error of class Input", in, got, err)
		}
	}
}
