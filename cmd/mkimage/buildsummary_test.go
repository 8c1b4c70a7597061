package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

var shellWords = []struct{ text, want string }{
	{"disk.img", "disk.img"},
	{"/a-b/c_d+1,2:3=@%.img", "/a-b/c_d+1,2:3=@%.img"},
	{"", "''"},
	{"a b", "'a b'"},
	{"a'b", `'a'\''b'`},
	{`a"b\c$d`, `'a"b\c$d'`},
	{"größe.img", "'größe.img'"},
	{"a\x1b[31m", `$'a\x1b[31m'`},
	{"a'b\nc\"d", `$'a\'b\nc\"d'`},
	{"a\xffb", `$'a\xffb'`},
}

// TestShellWord also asks bash what it reads.
func TestShellWord(t *testing.T) {
	imgtest.Need(t, "bash")
	for _, test := range shellWords {
		got := shellWord(test.text)
		if got != test.want {
			t.Errorf("%q: %s; want %s", test.text, got, test.want)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-c", "printf %s "+got)
		cmd.Env = []string{"LC_ALL=C.UTF-8"}
		if read, err := cmd.Output(); err != nil || string(read) != test.text {
			t.Errorf("%q: bash reads %q of %s (%v)", test.text, read, got, err)
		}
	}
}

// TestBuildNext names only commands that read the format.
func TestBuildNext(t *testing.T) {
	tests := []struct {
		format     string
		want, lack []string
	}{
		{formatRaw, []string{"mkimage run 'a b'", "mkimage inspect 'a b'", "mkimage verify 'a b'"}, []string{"qemu-img", "zstd"}},
		{formatQcow2, []string{"mkimage run 'a b'", "qemu-img convert -O raw 'a b' disk.img"}, []string{"inspect", "verify"}},
		{formatZstd, []string{"zstd -d 'a b'"}, []string{"mkimage"}},
	}
	for _, test := range tests {
		var out strings.Builder
		(&buildSummary{Path: "a b", Format: test.format}).printNext(&out)
		for _, text := range test.want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s: %q is not in:\n%s", test.format, text, out.String())
			}
		}
		for _, text := range test.lack {
			if strings.Contains(out.String(), text) {
				t.Errorf("%s: %q is in:\n%s", test.format, text, out.String())
			}
		}
	}
}

// TestBuildJSON reads the summary as a program does.
func TestBuildJSON(t *testing.T) {
	b := newSmallBuild(t)
	cmd := b.command(t.Context(), "disk.img.zst")
	cmd.Args = slices.DeleteFunc(cmd.Args, func(arg string) bool { return arg == "--quiet" })
	cmd.Args = append(cmd.Args, "--json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != 1 {
		t.Fatalf("%d lines; want one:\n%s", len(lines), out)
	}
	var s buildSummary
	in := json.NewDecoder(strings.NewReader(lines[0]))
	in.DisallowUnknownFields()
	if err := in.Decode(&s); err != nil {
		t.Fatal(err)
	}
	files := []string{"disk.img.zst", "disk.img.zst.spdx.json", "disk.img.zst.manifest.json"}
	if s.MessageType != "summary" || s.Profile != "bandit-minimal" || s.Format != formatZstd || s.Path != files[0] || !slices.Equal(s.Files, files) {
		t.Errorf("%+v: want a summary of %v", s, files)
	}
	if s.Size < 1<<30 || s.Allocated <= 0 || s.Allocated >= s.Size || len(s.Kernels) != 1 || len(s.Stages) < 6 || s.Seed == "" {
		t.Errorf("%+v: want a size, less of it allocated, a kernel, at least six stages and a seed", s)
	}
}
