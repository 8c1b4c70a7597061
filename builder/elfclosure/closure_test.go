package elfclosure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// base is a loader with a libc in a folder of an architecture.
func base(files map[string]any) map[string]any {
	all := map[string]any{
		"lib64/ld.so.2":                      "->../usr/lib/x86_64-linux-gnu/ld.so.2",
		"usr/lib/x86_64-linux-gnu/ld.so.2":   library("ld.so.2"),
		"usr/lib/x86_64-linux-gnu/libc.so.6": library("libc.so.6", "ld.so.2"),
	}
	maps.Copy(all, files)
	return all
}

// loaderFiles are what every program of base has.
var loaderFiles = []string{"lib64/ld.so.2 -> /usr/lib/x86_64-linux-gnu/ld.so.2", "usr/lib/x86_64-linux-gnu/ld.so.2"}

func TestCollect(t *testing.T) {
	const arch = "usr/lib/x86_64-linux-gnu/"
	tests := []struct {
		name   string
		files  map[string]any
		static bool     // none of loaderFiles
		want   []string // besides these
	}{
		{"libraries of libraries", map[string]any{
			"usr/sbin/p": program("liba.so.1", "libc.so.6"), arch + "liba.so.1": "->liba.so.1.2", arch + "liba.so.1.2": library("liba.so.1", "libc.so.6"),
		}, false, []string{arch + "liba.so.1 -> /" + arch + "liba.so.1.2", arch + "liba.so.1.2", arch + "libc.so.6", "usr/sbin/p"}},
		{"no loader", map[string]any{"bin/p": image{kind: 2}}, true, []string{"bin/p"}},
		{"a name that is a symlink", map[string]any{"usr/sbin/p": "->tool", "usr/sbin/tool": image{}}, true, []string{"usr/sbin/p -> /usr/sbin/tool", "usr/sbin/tool"}},
		{"RUNPATH with $ORIGIN", map[string]any{
			"usr/bin/p": "->../lib/p/p", "usr/lib/p/p": image{interpreter: loaderPath, needed: []string{"liba.so"}, runpath: "relative:$ORIGIN/../q"}, "usr/lib/q/liba.so": library("liba.so"),
		}, false, []string{"usr/bin/p -> /usr/lib/p/p", "usr/lib/p/p", "usr/lib/q/liba.so"}},
		{"RUNPATH is of the object alone", map[string]any{
			"usr/bin/p":   image{interpreter: loaderPath, needed: []string{"liba.so"}, runpath: "/opt"},
			"opt/liba.so": library("liba.so", "libb.so"), "opt/libb.so": library("libb.so"), arch + "libb.so": library("libb.so"),
		}, false, []string{"opt/liba.so", arch + "libb.so", "usr/bin/p"}},
		{"RPATH is of what is needed too", map[string]any{
			"usr/bin/p":   image{interpreter: loaderPath, needed: []string{"liba.so"}, rpath: "/opt"},
			"opt/liba.so": library("liba.so", "libb.so"), "opt/libb.so": library("libb.so"), arch + "libb.so": library("libb.so"),
		}, false, []string{"opt/liba.so", "opt/libb.so", "usr/bin/p"}},
		{"RUNPATH takes the place of RPATH", map[string]any{
			"usr/bin/p":   image{interpreter: loaderPath, needed: []string{"liba.so"}, rpath: "/opt", runpath: "/srv"},
			"opt/liba.so": library("liba.so"), arch + "liba.so": library("liba.so"),
		}, false, []string{arch + "liba.so", "usr/bin/p"}},
		{"first of a name serves all", map[string]any{
			"usr/bin/p": program("liba.so", "libb.so"), arch + "liba.so": image{soname: "liba.so", needed: []string{"libb.so"}, runpath: "/opt"},
			arch + "libb.so": library("libb.so"), "opt/libb.so": library("libb.so"),
		}, false, []string{arch + "liba.so", arch + "libb.so", "usr/bin/p"}},
		{"absolute name", map[string]any{"usr/bin/p": program("/opt/liba.so"), "opt/liba.so": library("liba.so")}, false, []string{"opt/liba.so", "usr/bin/p"}},
		{"another machine is passed over", map[string]any{
			"usr/bin/p": program("liba.so"), "lib/x86_64-linux-gnu/liba.so": image{machine: 183}, "lib64/liba.so": image{class: 1}, "usr/lib/liba.so": library("liba.so"),
		}, false, []string{"usr/bin/p", "usr/lib/liba.so"}},
		{"ld.so.conf", map[string]any{
			"usr/bin/p": program("liba.so"), "etc/ld.so.conf": "include ld.so.conf.d/*.conf\n", "etc/ld.so.conf.d/a.conf": "# a\n/opt/a , /opt/b=libc6\n", "opt/b/liba.so": library("liba.so"),
		}, false, []string{"opt/b/liba.so", "usr/bin/p", arch + "liba.so -> /opt/b/liba.so"}},
		{"nodeflib", map[string]any{
			"usr/bin/p": image{interpreter: loaderPath, needed: []string{"liba.so"}, runpath: "/opt", flags1: 0x800}, arch + "liba.so": library("liba.so"), "opt/liba.so": library("liba.so"),
		}, false, []string{"opt/liba.so", "usr/bin/p"}},
		{"RPATH beside RUNPATH is of nothing", map[string]any{
			"usr/bin/p":   image{interpreter: loaderPath, needed: []string{"liba.so"}, rpath: "/opt", runpath: "/srv"},
			"srv/liba.so": library("liba.so", "libb.so"), "opt/libb.so": library("libb.so"), arch + "libb.so": library("libb.so"),
		}, false, []string{"srv/liba.so", arch + "libb.so", "usr/bin/p"}},
		{"a library by its own name", map[string]any{
			"usr/bin/p": program("liba.so", "libb.so"), arch + "liba.so": library("libz.so"), arch + "libb.so": library("libb.so", "libz.so"),
		}, false, []string{arch + "liba.so", arch + "libb.so", "usr/bin/p"}},
		{"what may not be run is passed over", map[string]any{"usr/sbin/p": data("text"), "usr/bin/p": image{}}, true, []string{"usr/bin/p"}},
		{"opened", map[string]any{"usr/bin/p": program("libc.so.6"), arch + "libgcc_s.so.1": library("libgcc_s.so.1")}, false,
			[]string{"usr/bin/p", arch + "libc.so.6", arch + "libgcc_s.so.1"}},
		{"addresses that are no offsets", map[string]any{"usr/bin/p": image{interpreter: loaderPath, needed: []string{"libc.so.6"}, baseOfAddresses: 0x400000}}, false,
			[]string{"usr/bin/p", arch + "libc.so.6"}},
		{"script", map[string]any{"usr/bin/p": "#! /bin/sh -e\ntrue\n", "bin/sh": "->dash", "bin/dash": program("libc.so.6")}, false,
			[]string{"bin/dash", "bin/sh -> /bin/dash", "usr/bin/p", arch + "libc.so.6"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Collect(context.Background(), Params{Tree: system(t, base(tt.files)), Programs: []Program{{Name: "p", Required: true}}})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for _, line := range tt.want {
				want[line] = true
			}
			if !tt.static {
				for _, line := range loaderFiles {
					want[line] = true
				}
			}
			got := map[string]bool{}
			size := int64(0)
			for i, line := range listing(c) {
				got[line] = true
				if e := c.Files[i].Entry; e != nil {
					size += e.Size
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || size != c.Size {
				t.Errorf("size %d, said to be %d; files (-want +got):\n%s", size, c.Size, diff)
			}
		})
	}
}

func TestCollectRefuses(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]any
		want  string
	}{
		{"text", map[string]any{"bin/p": "text"}, "program p: bin/p: expected an ELF program or library"},
		{"not executable anywhere", nil, "program p: in none of the system's folders of programs"},
		{"no library", map[string]any{"bin/p": program("libno.so")}, "program p: bin/p: needs the library libno.so, which is not in the system"},
		{"no loader", map[string]any{"bin/p": image{interpreter: "/lib/none"}}, "program p: bin/p: loader /lib/none is not in the system"},
		{"relative library", map[string]any{"bin/p": program("a/lib.so")}, `program p: bin/p: needs the library "a/lib.so", expected a name or an absolute path`},
		{"$LIB", map[string]any{"bin/p": image{interpreter: loaderPath, needed: []string{"x"}, runpath: "/a/$LIB"}}, `program p: bin/p: run path "/a/$LIB", expected none of $LIB and $PLATFORM`},
		{"nodeflib", map[string]any{"bin/p": image{interpreter: loaderPath, needed: []string{"libc.so.6"}, runpath: "/opt", flags1: 0x800}}, "program p: bin/p: needs the library libc.so.6, which is not in the system"},
		{"strings in no segment", map[string]any{"bin/p": image{needed: []string{"liba.so"}, unloaded: 10}}, "in no segment that is loaded"},
		{"another machine", map[string]any{"bin/p": image{machine: 183}}, "program p: bin/p: is not for x86-64"},
		{"damaged library", map[string]any{"bin/p": program("liba.so"), "lib/liba.so": "text"}, "program p: lib/liba.so: expected an ELF program or library"},
		{"script of python", map[string]any{"bin/p": "#!/usr/bin/python3\n"}, "program p: bin/p: is a script for /usr/bin/python3, expected an ELF program or a script for a shell: what else it needs is not known"},
		{"script without a shell", map[string]any{"bin/p": "#!/bin/sh\n"}, "program p: bin/p: is a script for /bin/sh, which is not in the system"},
		{"script of a script", map[string]any{"bin/p": "#!/bin/sh\n", "bin/sh": "#!/bin/bash\n"}, "program p: bin/p: is a script for /bin/sh, which is a script itself"},
		{"script of env", map[string]any{"bin/p": "#!/usr/bin/env bash\n"}, "program p: bin/p: is run by env, expected #! and the interpreter itself"},
		{"script of nothing", map[string]any{"bin/p": "#! \n"}, "program p: bin/p: expected #! and the absolute path of an interpreter"},
		{"conf in a circle", map[string]any{"bin/p": program("libno.so"), "etc/ld.so.conf": "include /etc/*.conf"}, "etc/ld.so.conf: includes more than 255 files"},
		{"conf with folders of a pattern", map[string]any{"bin/p": program("libno.so"), "etc/ld.so.conf": "include /*/x.conf"}, `include "/*/x.conf": expected a pattern in the last element alone`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := system(t, base(tt.files))
			_, err := Collect(context.Background(), Params{Tree: tree, Programs: []Program{{"p", "packet", true}, {Name: "q"}}})
			var absent *AbsentError
			if !errors.As(err, &absent) || len(absent.Programs) != 1 || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("required: %v; want %q", err, tt.want)
			}
			hint := ""
			if tt.files == nil {
				hint = "add to the system: packet"
			}
			if fault.HintOf(err) != hint {
				t.Errorf("hint %q; want %q", fault.HintOf(err), hint)
			}
			c, err := Collect(context.Background(), Params{Tree: tree, Programs: []Program{{Name: "p"}}})
			if err != nil || len(c.Absent) != 1 || len(c.Files) != 0 || (c.Absent[0].Reason == nil) != (tt.files == nil) {
				t.Errorf("optional: %+v, %v; want it absent", c, err)
			}
		})
	}
}

// TestManyPrograms: what one lacks does not keep the others out, and a name counts once.
func TestManyPrograms(t *testing.T) {
	tree := system(t, base(map[string]any{"bin/a": program("libc.so.6"), "sbin/b": program("libno.so"), "bin/b": image{}, "bin/bad": "text"}))
	c, err := Collect(context.Background(), Params{Tree: tree, Programs: []Program{{Name: "none"}, {Name: "b"}, {Name: "a"}, {Name: "a", Required: true}, {Name: "bad"}, {Name: "../a"}}})
	if err != nil {
		t.Fatal(err)
	}
	var absent []string
	for _, a := range c.Absent {
		absent = append(absent, fmt.Sprintf("%s: %v", a.Name, a.Reason))
	}
	want := []string{"none: <nil>", "b: sbin/b: needs the library libno.so, which is not in the system", "bad: bin/bad: expected an ELF program or library", `../a: "../a": expected the name of a program`}
	if diff := cmp.Diff(want, absent); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Found{{Program{Name: "a"}, "/bin/a"}}, c.Programs); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
}

// TestTooManyLibraries: a chain of libraries ends.
func TestTooManyLibraries(t *testing.T) {
	for _, n := range []int{maxObjects - 2, maxObjects - 1, maxObjects} { // with the program, n+1 objects
		files := map[string]any{"bin/p": program("lib0")}
		for i := range n {
			m := library("")
			if i < n-1 {
				m.needed = []string{fmt.Sprintf("lib%d", i+1)}
			}
			files[fmt.Sprintf("lib/lib%d", i)] = m
		}
		_, err := Collect(context.Background(), Params{Tree: system(t, base(files)), Programs: []Program{{Name: "p", Required: true}}})
		if want := n < maxObjects; (err == nil) != want {
			t.Errorf("%d libraries: %v; want it taken: %v", n, err, want)
		}
	}
}
