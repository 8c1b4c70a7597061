package verify_test

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/verify"
)

// text prints a report for a message.
func text(t testing.TB, r *verify.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestClean(t *testing.T) {
	for _, kind := range []string{"systemd-boot", "grub", "uki"} {
		t.Run(kind, func(t *testing.T) {
			m := assemble(t, makeParts(t, kind))
			for name, o := range map[string]verify.Options{
				"both manifests": {Manifest: m.manifest, Data: true}, "the one on the ESP": {Data: true}, "no data": {},
			} {
				if r := m.verify(t, o); !r.Clean() || r.Found() != 0 || len(r.Checks) != 10 {
					t.Errorf("%s: %d problems in %d checks:\n%s", name, r.Found(), len(r.Checks), text(t, r))
				}
			}
		})
	}
}

// TestNoManifest wants every check that needs a manifest to say that there is
// none, and the others to be made.
func TestNoManifest(t *testing.T) {
	s := makeParts(t, "systemd-boot")
	s.ESP = func(e *fstree.Tree) { d := e.Lookup("mkimage"); d.Remove(d.Child("manifest.json")) }
	r := assemble(t, s).verify(t, verify.Options{})
	wantProblem(t, r, "manifest", "ESP: /mkimage/manifest.json", "not exist")
	var skipped []string
	for _, c := range r.Checks {
		if c.Skipped != "" {
			skipped = append(skipped, c.Name+": "+c.Skipped)
		}
	}
	var want []string
	for _, name := range []string{"digests", "files", "swapfile", "fstab"} {
		want = append(want, name+": there is no manifest")
	}
	if !slices.Equal(skipped, want) || r.Found() != 1 {
		t.Errorf("skipped %q, %d problems; want %q, 1", skipped, r.Found(), want)
	}
}

// wantProblem wants a problem of a check at a place that holds where and says
// what, or none at all when check is "".
func wantProblem(t testing.TB, r *verify.Report, check, where, what string) {
	t.Helper()
	if check == "" {
		if !r.Clean() {
			t.Errorf("want no problem:\n%s", text(t, r))
		}
		return
	}
	for _, c := range r.Checks {
		for _, p := range c.Problems {
			if c.Name == check && strings.Contains(p.Where, where) && strings.Contains(p.What, what) {
				return
			}
		}
	}
	t.Errorf("want a problem of %s at %q: %q:\n%s", check, where, what, text(t, r))
}

// TestParts makes images of parts that do not fit together.
func TestParts(t *testing.T) {
	put := func(tree *fstree.Tree, path, content string) {
		if old := tree.Lookup(path); old != nil {
			old.Parent().Remove(old)
		}
		if err := loader.Put(tree, path, []byte(content), time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(tree *fstree.Tree, path string) {
		e := tree.Lookup(path)
		e.Parent().Remove(e)
	}
	onESP := func(do func(tree *fstree.Tree)) func(*smalldisk.Parts) {
		return func(s *smalldisk.Parts) { s.ESP = do }
	}
	entry := "loader/entries/mkimage-demo.conf"
	change := func(tree *fstree.Tree, path, old, new string) {
		e := tree.Lookup(path)
		f, err := e.Content.Open(e)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(f, 0, e.Size))
		if err != nil || !strings.Contains(string(b), old) {
			t.Fatalf("%s: %q, %v; want %q in it", path, b, err, old)
		}
		put(tree, path, strings.Replace(string(b), old, new, 1))
	}
	for _, tt := range []struct {
		name, kind         string
		do                 func(*smalldisk.Parts)
		check, where, what string
	}{
		{"GUID of the disk", "", func(s *smalldisk.Parts) { s.Table = func(g *gpt.Table) { g.GUID[0]++ } }, "manifest", "partition table", "of the disk, the plan says"},
		{"PARTUUID", "", func(s *smalldisk.Parts) { s.Table = func(g *gpt.Table) { g.Partitions[0].GUID[0]++ } }, "manifest", "partition 1", "the manifest says"},
		{"first boot done", "", func(s *smalldisk.Parts) {
			s.Plan.Partition(plan.RoleRoot).FirstBoot = true
			s.Table = func(g *gpt.Table) { g.Partitions[1].Attributes = 0 }
		}, "manifest", "partition 2", "the image was booted"},
		{"first boot done, and more", "", func(s *smalldisk.Parts) {
			s.Plan.Partition(plan.RoleRoot).FirstBoot = true
			s.Table = func(g *gpt.Table) { g.Partitions[1].Attributes = 1 << 60 }
		}, "manifest", "partition 2", "attributes 0x1000000000000000, the plan says 0x800000000000000"},
		{"first boot that is not planned", "", func(s *smalldisk.Parts) {
			s.Plan.Partition(plan.RoleRoot).FirstBoot = false
			s.Table = func(g *gpt.Table) { g.Partitions[1].Attributes = 1 << 59 }
		}, "manifest", "partition 2", "attributes 0x800000000000000, the plan says 0x0"},
		{"attributes of the ESP", "", func(s *smalldisk.Parts) {
			s.Table = func(g *gpt.Table) { g.Partitions[0].Attributes = 1 }
		}, "manifest", "partition 1", "attributes 0x1, the plan says 0x0"},
		{"PARTUUID of the root", "", func(s *smalldisk.Parts) { s.Table = func(g *gpt.Table) { g.Partitions[1].GUID[0]++ } }, "boot", entry, "root=PARTUUID="},
		{"PARTUUID of the root in a UKI", "uki", func(s *smalldisk.Parts) { s.Table = func(g *gpt.Table) { g.Partitions[1].GUID[0]++ } }, "boot", "section .cmdline", "root=PARTUUID="},
		{"PARTUUID twice", "", func(s *smalldisk.Parts) { s.Table = func(g *gpt.Table) { g.Partitions[0].GUID = g.GUID } }, "identity", "partition 1", "is that of the disk too"},
		{"label twice", "", func(s *smalldisk.Parts) { s.Table = func(g *gpt.Table) { g.Partitions[0].Label = "system" } }, "identity", "partition 2", "partition label system is that of partition 1 too"},
		{"type of no ESP", "", func(s *smalldisk.Parts) { s.Table = func(g *gpt.Table) { g.Partitions[0].Type[0]++ } }, "table", "partition table", "no partition has the type of the ESP"},
		{"two ESPs", "", func(s *smalldisk.Parts) {
			s.Table = func(g *gpt.Table) { g.Partitions[1].Type = g.Partitions[0].Type }
		}, "table", "partition table", "partitions 1 and 2 both have the type of the ESP"},
		{"manifest missing", "", onESP(func(e *fstree.Tree) { remove(e, "mkimage/manifest.json") }), "manifest", "ESP: /mkimage/manifest.json", "not exist"},
		{"manifest damaged", "", onESP(func(e *fstree.Tree) { put(e, "mkimage/manifest.json", "{}") }), "manifest", "ESP: /mkimage/manifest.json", "version 0"},
		{"manifest of another build", "", onESP(func(e *fstree.Tree) { change(e, "mkimage/manifest.json", `"mkimage":"test"`, `"mkimage":"x"`) }), "manifest", "ESP: /mkimage/manifest.json", "differs from the manifest beside the image"},
		{"subvolume missing", "", func(s *smalldisk.Parts) {
			s.Params = func(p *btrfs.Params) { p.Subvolumes = slices.Delete(p.Subvolumes, 1, 3) }
			s.Manifest = func(m *manifest.Manifest) { m.Subvolumes = append(m.Subvolumes, manifest.Subvolume{Path: "@home"}) }
		}, "root", "subvolume @home", "is not there"},
		{"subvolume too many", "", func(s *smalldisk.Parts) {
			s.Manifest = func(m *manifest.Manifest) { m.Subvolumes = m.Subvolumes[:2] }
		}, "root", "subvolume @home", "is not in the manifest"},
		{"subvolume of another id", "", func(s *smalldisk.Parts) { s.Manifest = func(m *manifest.Manifest) { m.Subvolumes[1].ID++ } }, "root", "subvolume @", "the manifest says 25"},
		{"snapshot that can be written", "", func(s *smalldisk.Parts) {
			s.Manifest = func(m *manifest.Manifest) { m.Subvolumes[len(m.Subvolumes)-1].ReadOnly = false }
		}, "root", "subvolume @factory", "read-only true"},
		{"file system of another identity", "", func(s *smalldisk.Parts) { s.Params = func(p *btrfs.Params) { p.Seed[0]++ } }, "identity", "partition root", "the plan says"},
		{"file system of another label", "", func(s *smalldisk.Parts) { s.Params = func(p *btrfs.Params) { p.Label = "ESP" } }, "identity", "the root file system", "file system label ESP is that of the ESP too"},
		{"resume offset", "", func(s *smalldisk.Parts) { s.Manifest = func(m *manifest.Manifest) { m.Swapfile.ResumeOffset++ } }, "swapfile", "root: @swap/swapfile", "resume offset"},
		{"size of the swapfile", "", func(s *smalldisk.Parts) { s.Manifest = func(m *manifest.Manifest) { m.Swapfile.Size++ } }, "swapfile", "root: @swap/swapfile", "the manifest says 1048577"},
		{"swapfile elsewhere", "", func(s *smalldisk.Parts) {
			s.Manifest = func(m *manifest.Manifest) { m.Swapfile.Path = "@/etc/fstab" }
		}, "swapfile", "root: @/etc/fstab", ""},
		{"swapfile not described", "", func(s *smalldisk.Parts) { s.Manifest = func(m *manifest.Manifest) { m.Swapfile = nil } }, "swapfile", "manifest", "has no swapfile, its plan has @swap/swapfile"},
		{"fstab missing", "", func(s *smalldisk.Parts) { remove(s.Source, "etc/fstab") }, "fstab", "root: @/etc/fstab", "not exist"},
		{"fstab missing in NixOS", "", func(s *smalldisk.Parts) { remove(s.Source, "etc/fstab"); put(s.Source, "nix/store/x", "") }, "", "", ""},
		{"fstab missing beside a store", "", func(s *smalldisk.Parts) {
			remove(s.Source, "etc/fstab")
			put(s.Source, "nix/store/x", "")
			put(s.Source, "usr/lib/systemd/systemd", "")
		}, "fstab", "root: @/etc/fstab", "not exist"},
		{"fstab of another disk", "", func(s *smalldisk.Parts) { change(s.Source, "etc/fstab", "PARTUUID=", "PARTUUID=0") }, "fstab", "root: @/etc/fstab", "which the plan asks for"},
		{"fstab with other options", "", func(s *smalldisk.Parts) { change(s.Source, "etc/fstab", "umask=0077", "umask=0022") }, "fstab", "root: @/etc/fstab", `has a line "PARTUUID=`},
		{"fstab with a line more", "", func(s *smalldisk.Parts) { change(s.Source, "etc/fstab", "# comment", "/dev/sda1 /mnt ext4") }, "fstab", "root: @/etc/fstab", `"/dev/sda1 /mnt ext4 ", which the plan does not ask for`},
		{"mount point missing", "", func(s *smalldisk.Parts) { remove(s.Source, "boot") }, "fstab", "root: @/boot", "is not there, PARTUUID="},
		{"mount point is a file", "", func(s *smalldisk.Parts) { remove(s.Source, "boot"); put(s.Source, "boot", "") }, "fstab", "root: @/boot", "is no directory"},
		{"nested mount point missing", "", func(s *smalldisk.Parts) {
			s.Params = func(p *btrfs.Params) {
				i := slices.IndexFunc(p.Subvolumes, func(v btrfs.Subvolume) bool { return v.Path == "@var" })
				p.Subvolumes[i].Empty, p.Subvolumes[i].Source = true, ""
			}
		}, "fstab", "root: @var/log", "is not there"},
		{"file missing", "", onESP(func(e *fstree.Tree) { remove(e, "loader/entries.srel") }), "files", "ESP: /loader/entries.srel", "not exist"},
		{"file changed", "", onESP(func(e *fstree.Tree) { put(e, "loader/entries.srel", "type2\n") }), "files", "ESP: /loader/entries.srel", "SHA-256 "},
		{"file longer", "", onESP(func(e *fstree.Tree) { put(e, "loader/entries.srel", "type1\n\n") }), "files", "ESP: /loader/entries.srel", "7 bytes, the manifest says a file of 6"},
		{"file too many", "", onESP(func(e *fstree.Tree) { put(e, "autoexec.bat", "") }), "files", "ESP: /autoexec.bat", "is not in the manifest"},
		{"no loader", "", onESP(func(e *fstree.Tree) { remove(e, "EFI/BOOT/BOOTX64.EFI") }), "boot", "ESP: /EFI/BOOT/BOOTX64.EFI", "not exist"},
		{"loader is text", "", onESP(func(e *fstree.Tree) { put(e, "EFI/BOOT/BOOTX64.EFI", strings.Repeat("x", 100)) }), "boot", "ESP: /EFI/BOOT/BOOTX64.EFI", "expected MZ"},
		{"no entries", "", onESP(func(e *fstree.Tree) { remove(e, "loader/entries") }), "boot", "ESP: /loader/entries", "not exist"},
		{"entries of others alone", "", onESP(func(e *fstree.Tree) {
			remove(e, "loader/entries")
			put(e, "loader/entries/x.txt", "")
		}), "boot", "ESP: /loader/entries", "holds no entry"},
		{"entry of the plan missing", "", onESP(func(e *fstree.Tree) { remove(e, "loader/entries/mkimage-demo-rescue.conf") }), "boot", "ESP: /loader/entries", "has no entry mkimage-demo-rescue.conf"},
		{"default missing", "", onESP(func(e *fstree.Tree) { change(e, "loader/loader.conf", "mkimage-demo.conf", "x*") }), "boot", "ESP: /loader/loader.conf", `default "x*" is none of the entries`},
		{"loader.conf damaged", "", onESP(func(e *fstree.Tree) { put(e, "loader/loader.conf", "timeout x") }), "boot", "ESP: /loader/loader.conf", `timeout "x"`},
		{"entry without a kernel", "", onESP(func(e *fstree.Tree) { put(e, entry, "title x") }), "boot", "ESP: /" + entry, "expected one"},
		{"PARTUUID of the root in GRUB", "grub", func(s *smalldisk.Parts) { s.Table = func(g *gpt.Table) { g.Partitions[1].GUID[0]++ } }, "boot", "ESP: /grub, entry mkimage-demo", "root=PARTUUID="},
		{"grub.cfg missing", "grub", onESP(func(e *fstree.Tree) { remove(e, "grub/grub.cfg") }), "boot", "ESP: /grub/grub.cfg", "not exist"},
		{"grub.cfg changed", "grub", onESP(func(e *fstree.Tree) { change(e, "grub/grub.cfg", "export superusers\n", "export superusers\nboot\n") }), "boot", "ESP: /grub/grub.cfg", "is not as mkimage writes it"},
		{"grub.cfg with another timeout", "grub", onESP(func(e *fstree.Tree) { change(e, "grub/grub.cfg", "timeout=3", "timeout=4") }), "files", "ESP: /grub/grub.cfg", "SHA-256 "},
		{"custom.cfg missing", "grub", onESP(func(e *fstree.Tree) { remove(e, "grub/custom.cfg") }), "boot", "ESP: /grub/custom.cfg", "not exist"},
		{"custom.cfg changed", "grub", onESP(func(e *fstree.Tree) { change(e, "grub/custom.cfg", "--unrestricted ", "") }), "boot", "ESP: /grub/custom.cfg", "is not as mkimage writes it"},
		{"kernel of GRUB missing", "grub", onESP(func(e *fstree.Tree) { change(e, "grub/custom.cfg", "/linux ", "/vmlinuz ") }), "boot", "ESP: /grub, entry mkimage-demo", "vmlinuz: "},
		{"default of GRUB missing", "grub", onESP(func(e *fstree.Tree) { change(e, "grub/grub.cfg", "default=mkimage-demo\n", "default=x\n") }), "boot", "ESP: /grub/grub.cfg", `default "x" is none of the entries`},
		{"entry of the plan missing in GRUB", "grub", onESP(func(e *fstree.Tree) { change(e, "grub/custom.cfg", "--id mkimage-demo-rescue", "--id other") }), "boot", "ESP: /grub/grub.cfg", "has no entry mkimage-demo-rescue"},
		{"way to grub.cfg missing", "grub", onESP(func(e *fstree.Tree) { remove(e, "EFI/debian/grub.cfg") }), "boot", "ESP: /EFI/debian/grub.cfg", "not exist"},
		{"way to grub.cfg changed", "grub", onESP(func(e *fstree.Tree) { change(e, "EFI/debian/grub.cfg", "$root", "hd1") }), "boot", "ESP: /EFI/debian/grub.cfg", "does not lead to /grub/grub.cfg"},
		{"GRUB damaged", "grub", onESP(func(e *fstree.Tree) { change(e, "EFI/BOOT/BOOTX64.EFI", "mimg", "mimh") }), "boot", "ESP: /EFI/BOOT/BOOTX64.EFI", "expected mimg"},
		{"kernel missing", "", onESP(func(e *fstree.Tree) { change(e, entry, "/linux", "/vmlinuz") }), "boot", "ESP: /" + entry, "vmlinuz: "},
		{"kernel is text", "", onESP(func(e *fstree.Tree) {
			put(e, "x", strings.Repeat("x", 100))
			change(e, entry, "linux /mkimage", "linux /x\n#")
		}), "boot", "ESP: /x", "expected MZ"},
		{"initramfs is a directory", "", onESP(func(e *fstree.Tree) { change(e, entry, "/initramfs", "") }), "boot", "ESP: /" + entry, "which is a directory"},
		{"another root subvolume", "", onESP(func(e *fstree.Tree) { change(e, entry, "subvol=@", "subvol=@root") }), "boot", "ESP: /" + entry, `subvolume "@root" is not there`},
		{"no init", "", func(s *smalldisk.Parts) { delete(s.Initramfs, "init") }, "boot", "initramfs", "has no program /init"},
		{"empty init", "", func(s *smalldisk.Parts) { s.Initramfs["init"] = "" }, "boot", "initramfs", "has no program /init"},
		{"no init in a UKI", "uki", func(s *smalldisk.Parts) { delete(s.Initramfs, "init") }, "boot", "section .initrd", "has no program /init"},
		{"module missing", "", func(s *smalldisk.Parts) { delete(s.Initramfs, "lib/modules/6.12/btrfs.ko") }, "boot", "initramfs", "has no /lib/modules/6.12/btrfs.ko, which /etc/mkimage/modules lists"},
		{"no configuration", "", func(s *smalldisk.Parts) { delete(s.Initramfs, "etc/mkimage/init.json") }, "boot", "initramfs", "/etc/mkimage/init.json of version 0 with 0 mounts"},
		{"configuration damaged", "", func(s *smalldisk.Parts) { s.Initramfs["etc/mkimage/init.json"] = "{" }, "boot", "initramfs", "unexpected EOF"},
		{"configuration of another layout", "", func(s *smalldisk.Parts) {
			s.Initramfs["etc/mkimage/init.json"] = strings.Replace(s.Initramfs["etc/mkimage/init.json"], `"@var"`, `"@data"`, 1)
		}, "boot", "initramfs: /etc/mkimage/init.json", `subvolume "@data" is not there`},
		{"factory without snapshots", "", func(s *smalldisk.Parts) {
			s.Initramfs["etc/mkimage/init.json"] = `{"version":1,"mounts":[{"subvolume":"@","target":"/","options":[]}]}`
		}, "boot", "mkimage-demo-factory.conf", "has mkimage.factory, which the initramfs knows nothing of"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := makeParts(t, cmp.Or(tt.kind, "systemd-boot"))
			tt.do(s)
			m := assemble(t, s)
			wantProblem(t, m.verify(t, verify.Options{Manifest: m.manifest}), tt.check, tt.where, tt.what)
		})
	}
}
