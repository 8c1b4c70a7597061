package elfclosure

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Names of the store of a NixOS system.
const (
	glibc = "nix/store/aaaa-glibc/lib/"
	tools = "nix/store/bbbb-tools/bin/"
	sw    = "nix/store/cccc-nixos-system/sw/bin"
)

func nixos(files map[string]any) map[string]any {
	all := map[string]any{
		glibc + "ld-linux-x86-64.so.2":           library("ld-linux-x86-64.so.2"),
		glibc + "libc.so.6":                      library("libc.so.6"),
		glibc + "libgcc_s.so.1":                  library("libgcc_s.so.1"),
		"usr/lib/libfoo.so":                      library("libfoo.so"), // which no program of the store sees
		"nix/store/dddd-bash/bin/bash":           nixProgram("libc.so.6"),
		"nix/store/cccc-nixos-system/sw":         "->/nix/store/eeee-system-path",
		"nix/store/eeee-system-path/bin/tool":    "->/" + tools + "tool",
		"nix/store/eeee-system-path/bin/wrapped": "->/" + tools + "wrapped",
	}
	for at, content := range files {
		all[at] = content
	}
	return all
}

func nixProgram(needed ...string) image {
	return image{interpreter: "/" + glibc + "ld-linux-x86-64.so.2", needed: needed, runpath: "/" + glibc[:len(glibc)-1]}
}

func TestNixOS(t *testing.T) {
	loader := []string{glibc + "ld-linux-x86-64.so.2", glibc + "libc.so.6", glibc + "libgcc_s.so.1"}
	bash := "nix/store/dddd-bash/bin/bash"
	compiled := nixProgram("libc.so.6").bytes()
	compiled = append(compiled, "\nmakeCWrapper '/"+tools+".wrapped-wrapped' \\\n    --inherit-argv0\n\x00"...)
	tests := []struct {
		name, program string
		files         map[string]any
		want          []string
		err           string
	}{
		{"program", "tool", map[string]any{tools + "tool": nixProgram("libc.so.6")},
			append(loader[:3:3], tools+"tool", "usr/bin/tool -> /"+tools+"tool"), ""},
		{"the loader has one folder", "tool", map[string]any{tools + "tool": nixProgram("libfoo.so")}, nil, "needs the library libfoo.so, which is not in the system"},
		{"wrapper", "wrapped", map[string]any{tools + "wrapped": "#! /nix/store/dddd-bash/bin/bash -e\nexport X='1'\nexec -a \"$0\" \"/" + tools + ".wrapped-wrapped\"  \"$@\"\n", tools + ".wrapped-wrapped": nixProgram("libc.so.6")},
			append(loader[:3:3], tools+".wrapped-wrapped", tools+"wrapped", bash, "usr/bin/wrapped -> /"+tools+"wrapped"), ""},
		{"wrapper of elsewhere", "wrapped", map[string]any{tools + "wrapped": "#!/nix/store/dddd-bash/bin/bash\nexec /nix/store/ffff-x/bin/x \"$@\"", "nix/store/ffff-x/bin/x": image{}},
			append(loader[:3:3], tools+"wrapped", bash, "nix/store/ffff-x/bin/x", "usr/bin/wrapped -> /"+tools+"wrapped"), ""},
		{"compiled wrapper", "wrapped", map[string]any{tools + "wrapped": string(compiled), tools + ".wrapped-wrapped": nixProgram("libc.so.6")},
			append(loader[:3:3], tools+".wrapped-wrapped", tools+"wrapped", "usr/bin/wrapped -> /"+tools+"wrapped"), ""},
		{"wrapper of a wrapper", "wrapped", map[string]any{tools + "wrapped": string(compiled), tools + ".wrapped-wrapped": "#!/nix/store/dddd-bash/bin/bash\nexec /x\n"}, nil,
			tools + ".wrapped-wrapped: is a wrapper, and a wrapper starts it: expected one at most"},
		{"wrapper of nothing", "wrapped", map[string]any{tools + "wrapped": string(compiled)}, nil, tools + "wrapped: starts /" + tools + ".wrapped-wrapped, which is not in the system"},
		{"sshd with what it runs", "sshd", map[string]any{sw[:len(sw)-len("sw/bin")] + "x": "", "nix/store/eeee-system-path/bin/sshd": "->/" + tools + "sshd", tools + "sshd": image{}, "nix/store/bbbb-tools/libexec/sshd-session": image{}},
			[]string{"nix/store/bbbb-tools/libexec/sshd-session", tools + "sshd", "usr/bin/sshd -> /" + tools + "sshd"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Collect(context.Background(), Params{Tree: system(t, nixos(tt.files)), Folders: []string{"/" + sw}, Programs: []Program{{Name: tt.program, Required: true}}})
			if err != nil {
				if tt.err == "" || !strings.HasSuffix(err.Error(), tt.err) {
					t.Errorf("error %q; want %q", err, tt.err)
				}
				return
			}
			want, got := map[string]bool{}, map[string]bool{}
			for _, line := range tt.want {
				want[line] = true
			}
			for _, line := range listing(c) {
				got[line] = true
			}
			if diff := cmp.Diff(want, got); diff != "" || tt.err != "" {
				t.Errorf("want error %q; files (-want +got):\n%s", tt.err, diff)
			}
		})
	}
}

func TestWrapperTarget(t *testing.T) {
	mark := func(target string) string { return "\x7fELF " + wrapperMark + target + "' " }
	tests := []struct {
		name, in string
		size     int64
		want     string
	}{
		{"compiled", mark("/a/b"), 10, "/a/b"},
		{"as large as a wrapper can be", mark("/a/b"), maxScript, "/a/b"},
		{"too large for a wrapper", mark("/a/b"), maxScript + 1, ""},
		{"relative", mark("a/b"), 10, ""},
		{"without an end", "\x7fELF " + wrapperMark + "/a", 10, ""},
		{"path below the limit", mark("/" + strings.Repeat("x", maxPath-2)), 10, "/" + strings.Repeat("x", maxPath-2)},
		{"path at the limit", mark("/" + strings.Repeat("x", maxPath-1)), 10, ""},
		{"exec of a redirection", "#!/bin/sh\nexec >/dev/null\nexec 3< /dev/tty\n", 10, ""},
		{"exec of a variable", "#!/bin/sh\nexec \"/x/$y\"\nexec -a x \"$y\"\n", 10, ""},
		{"exec", "#!/bin/sh\n exec \"/x/y\" -a", 10, "/x/y"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := wrapperTarget([]byte(tt.in), tt.size); got != tt.want {
				t.Errorf("wrapperTarget = %.40q; want %.40q", got, tt.want)
			}
		})
	}
}
