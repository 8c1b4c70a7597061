package nixfixture

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nixos"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/layouts"
)

func TestBuildStage1(t *testing.T) {
	const want = `stage 1 "dracut": expected one of ["scripted" "systemd" "nixos-init"]`
	if _, err := Build(t.Context(), t.Output(), Options{Stage1: "dracut"}); errorText(err) != want {
		t.Errorf("Build = %v; want %s", err, want)
	}
}

// nix runs a program of Nix that trusts the fixture's key and asks nobody else.
func nix(t *testing.T, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(cmd.Environ(), "NIX_CONFIG=experimental-features = nix-command\nbuild-users-group =\nsubstituters =\ntrusted-public-keys = "+publicKey()+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", argv, err, out)
	}
}

// TestNix: the store and the signatures of the cache are whole, to Nix.
func TestNix(t *testing.T) {
	f := Make(t, Options{})
	nix(t, "nix-store", "--store", f.Store, "--verify", "--check-contents")
	nix(t, "nix", "store", "verify", "--store", f.Store, "--no-contents", "--sigs-needed", "1", "--all")
	nix(t, "nix", "store", "verify", "--store", "file://"+f.Cache, "--sigs-needed", "1", "--recursive", f.Toplevel, Make(t, Options{Stage1: Systemd}).Toplevel, Make(t, Options{Stage1: NixosInit}).Toplevel)
}

// open returns the tree of an image of the fixture. What the cache folder holds is not
// fetched again.
func open(t *testing.T, f Fixture, cache string) *fstree.Tree {
	t.Helper()
	spec, err := source.Parse("cache:" + f.Cache + "#" + f.Toplevel)
	if err != nil {
		t.Fatal(err)
	}
	s, err := source.Open(t.Context(), spec, source.Options{CacheDir: cache, Epoch: time.Unix(1_700_000_000, 0), Nix: source.NixOptions{Keys: []string{f.Key}, Offline: true, CacheSize: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.Tree
}

// TestSystem: a toplevel has what images are made of, and is of its kind.
func TestSystem(t *testing.T) {
	cache := t.TempDir()
	for kind, wantPrepare := range map[Stage1]bool{Scripted: false, Systemd: true, NixosInit: false} {
		t.Run(string(kind), func(t *testing.T) {
			f := Make(t, Options{Stage1: kind})
			tree := open(t, f, cache)
			all, err := nixos.Generations(tree)
			if err != nil || len(all) != 1 {
				t.Fatalf("generations %v, %v; want one", all, err)
			}
			g := all[0]
			release, err := nixos.KernelRelease(tree, g.Spec.Toplevel)
			if g.Number != 1 || g.Spec.Toplevel.String() != f.Toplevel || !strings.HasPrefix(release, "6.1.") {
				t.Errorf("generation %d, %s, kernel %q, %v", g.Number, g.Spec.Toplevel, release, err)
			}
			if child := g.Spec.Specialisations["debug"]; child == nil || !slices.Contains(child.KernelParams, "fixture.debug") {
				t.Errorf("specialisation debug: %+v", child)
			}
			if prepare := tree.Lookup(f.Toplevel + "/prepare-root"); (prepare != nil) != wantPrepare {
				t.Errorf("prepare-root: %v; want one: %v", prepare, wantPrepare)
			}
			if e, err := tree.Follow(f.Toplevel + "/systemd/lib/systemd/boot/efi/systemd-bootx64.efi"); err != nil || e == nil {
				t.Errorf("no systemd-boot: %v", err)
			}
			if diff := cmp.Diff(wantMounts(t), mounts(t, tree, f.Toplevel)); diff != "" {
				t.Errorf("fstab (-layout +fixture)\n%s", diff)
			}
		})
	}
}

// wantMounts returns the lines of an fstab that a system on the layout has.
func wantMounts(t *testing.T) []string {
	t.Helper()
	l, _, err := layouts.Load().Resolve("btrfs-laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/dev/disk/by-label/" + l.ESP.Label + " " + l.ESP.Mount + " vfat umask=0077 0 2"}
	for _, s := range l.Subvolumes {
		options := append([]string{"subvol=" + s.Name}, l.Root.Options...)
		if s.Early {
			options = slices.Insert(options, 0, "x-initrd.mount")
		}
		want = append(want, "/dev/disk/by-label/"+l.Root.Label+" "+s.Mount+" btrfs "+strings.Join(append(options, s.Options...), ",")+" 0 0")
		if s.Name == l.Swapfile.Subvolume {
			want = append(want, s.Mount+"/"+l.Swapfile.Name+" none swap defaults 0 0")
		}
	}
	slices.Sort(want)
	return want
}

// mounts returns the lines of the system's fstab.
func mounts(t *testing.T, tree *fstree.Tree, toplevel string) []string {
	t.Helper()
	e, err := tree.Follow(toplevel + "/etc/fstab")
	if err != nil || e == nil {
		t.Fatalf("no fstab: %v", err)
	}
	text, err := e.Read(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// TestSecret: what the system decrypts is what the package says, to the sops of the closure.
func TestSecret(t *testing.T) {
	f := Make(t, Options{})
	found, err := filepath.Glob(f.Store + "/nix/store/*-sops/bin/sops")
	if err != nil || len(found) != 1 {
		t.Fatalf("sops: %v, %v; want one", found, err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"key.txt": AgeKey(), "secrets.yaml": string(Secrets())} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(found[0], "--decrypt", "--extract", `["`+filepath.Base(SecretPath)+`"]`, filepath.Join(dir, "secrets.yaml"))
	cmd.Env = []string{"SOPS_AGE_KEY_FILE=" + filepath.Join(dir, "key.txt")}
	if out, err := cmd.Output(); err != nil || string(out) != Secret {
		t.Errorf("sops: %q, %v; want %q", out, err, Secret)
	}
}
