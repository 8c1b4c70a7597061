package loader_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/loader/grubcfg"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// TestTreeWhichGRUB wants the image that the profile names, else the signed one of the
// source, else the other.
func TestTreeWhichGRUB(t *testing.T) {
	signed := smalldisk.GRUBProgram("/EFI/signed", smalldisk.GRUBModules...)
	named := smalldisk.GRUBProgram("/grub", smalldisk.GRUBModules...)
	for _, tt := range []struct {
		name        string
		files       map[string][]byte
		named, want []byte
		stub        string // "" is none
	}{
		{"monolithic", nil, nil, sourceFiles()[grubMonolithic], "EFI/debian/grub.cfg"},
		{"signed", map[string][]byte{grubSigned: signed}, nil, signed, "EFI/signed/grub.cfg"},
		{"named", map[string][]byte{grubSigned: signed}, named, named, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := sourceFiles()
			for name, data := range tt.files {
				files[name] = data
			}
			source := sourceTree(t, files)
			tree, err := loader.Tree(testPlan(loader.GRUB), source, loader.System{Kernels: kernels(source), GRUB: tt.named})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content(t, tree.Lookup(bls.FallbackPath)), tt.want) {
				t.Errorf("%s is another image", bls.FallbackPath)
			}
			if tt.stub != "" && !bytes.Equal(content(t, tree.Lookup(tt.stub)), grubcfg.Stub()) {
				t.Errorf("%s is not what leads to the configuration", tt.stub)
			}
			if _, err := grubcfg.Parse(content(t, tree.Lookup(grubcfg.ConfFile))); err != nil {
				t.Errorf("%s: %v", grubcfg.ConfFile, err)
			}
		})
	}
}

func TestTreeGRUBRefuses(t *testing.T) {
	all := smalldisk.GRUBModules
	for _, tt := range []struct {
		name   string
		change func(files map[string][]byte, p *plan.Plan)
		want   string
		class  fault.Class
		hint   string
	}{
		{"none", func(f map[string][]byte, _ *plan.Plan) { delete(f, grubMonolithic) }, "the source has no /" + grubSigned, fault.Input, "--set boot.grub="},
		{"another program", func(f map[string][]byte, _ *plan.Plan) { f[grubMonolithic] = smalldisk.EFIProgram("x") }, grubMonolithic + ": no section mods", fault.Input, "--set boot.grub="},
		{"text", func(f map[string][]byte, _ *plan.Plan) { f[grubMonolithic] = []byte("x") }, "EFI program: ", fault.Input, "--set boot.grub="},
		{"no module", func(f map[string][]byte, _ *plan.Plan) {
			f[grubMonolithic] = smalldisk.GRUBProgram("/grub", slices.DeleteFunc(slices.Clone(all), func(m string) bool { return m == "fat" || m == "test" })...)
		}, "a GRUB without fat, test, expected", fault.Input, "--set boot.grub="},
		{"prefix", func(f map[string][]byte, _ *plan.Plan) {
			f[grubMonolithic] = smalldisk.GRUBProgram("(memdisk)/boot", all...)
		}, `prefix "(memdisk)/boot"`, fault.Input, "--set boot.grub="},
		{"word that GRUB changes", func(_ map[string][]byte, p *plan.Plan) { p.Entries[0].Cmdline = []string{`a\b`} }, `kernel parameter "a\\b"`, fault.Config, "systemd-boot"},
		{"id", func(_ map[string][]byte, p *plan.Plan) { p.Entries[0].ID = "a b" }, `entry "a b"`, fault.Config, ""},
		{"title of two lines", func(_ map[string][]byte, p *plan.Plan) { p.Entries[0].Title = "a\n}" }, "expected text on one line", fault.Config, ""},
		{"timeout", func(_ map[string][]byte, p *plan.Plan) { p.Profile.Boot.Timeout = -1 }, "timeout -1", fault.Config, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, p := sourceFiles(), testPlan(loader.GRUB)
			tt.change(files, p)
			source := sourceTree(t, files)
			_, err := loader.Tree(p, source, loader.System{Kernels: kernels(source)})
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != tt.class || !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("%v, class %v, hint %q; want %q, %v, %q", err, fault.ClassOf(err), fault.HintOf(err), tt.want, tt.class, tt.hint)
			}
		})
	}
}

// TestGRUBGenerations: the menu of a NixOS is where its own tools write one, with its
// kernels where they put them; what they know nothing of is where they do not remove it.
func TestGRUBGenerations(t *testing.T) {
	tree := generationTree(t, testPlan(loader.GRUB))
	conf, err := grubcfg.Parse(content(t, tree.Lookup(grubcfg.ConfFile)))
	if err != nil {
		t.Fatal(err)
	}
	if conf.Default != "nixos-generation-2" || !conf.Custom {
		t.Errorf("%+v", conf)
	}
	want := []string{
		"nixos-generation-2 NixOS /kernels/aa-linux-bzImage init=/b",
		"nixos-generation-2-specialisation-x NixOS (x) /kernels/aa-linux-bzImage init=/x",
		"nixos-generation-1 NixOS (Generation 1 Fox, built on 2025-01-01) /kernels/bb-linux-bzImage init=/a",
	}
	if diff := cmp.Diff(want, summaries(conf.Entries)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	custom, err := grubcfg.ParseCustom(content(t, tree.Lookup(grubcfg.CustomFile)))
	if err != nil {
		t.Fatal(err)
	}
	if got := summaries(custom); len(got) != 1 || !strings.HasPrefix(got[0], "mkimage-bandit-factory bandit (as built) /mkimage/6.12.2+deb13-amd64-") {
		t.Errorf("custom: %q", got)
	}
	for _, e := range slices.Concat(conf.Entries, custom) {
		for _, name := range e.Files() {
			if tree.Lookup(name) == nil {
				t.Errorf("%s names %s, which is not there", e.ID, name)
			}
		}
	}
	if tree.Lookup(loader.NixOSDir) != nil {
		t.Errorf("/%s is there, where GRUB has nothing", loader.NixOSDir)
	}
	wantInitramfs(t, tree, conf.Entries)
}

// summaries returns what tells entries apart.
func summaries(entries []grubcfg.Entry) (list []string) {
	for _, e := range entries {
		init := ""
		for w := range strings.FieldsSeq(e.Options) {
			if strings.HasPrefix(w, "init=") {
				init = w
			}
		}
		list = append(list, e.ID+" "+e.Title+" "+e.Linux+" "+init)
	}
	return list
}

// wantInitramfs wants each kernel to have its own.
func wantInitramfs(t *testing.T, tree *fstree.Tree, entries []grubcfg.Entry) {
	t.Helper()
	for _, e := range entries {
		linux, initramfs := content(t, tree.Lookup(e.Linux)), content(t, tree.Lookup(e.Initrd[0]))
		if age := string(linux[0x400:0x403]); string(initramfs) != "initramfs of the "+age+" one" || len(e.Initrd) != 1 {
			t.Errorf("%s: a kernel %q with %q", e.ID, age, initramfs)
		}
	}
}
