package hardware

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/gpt/grow"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// TestReadSwapfile: which file it is, under all names of the file system.
func TestReadSwapfile(t *testing.T) {
	const root = "LABEL=system / btrfs subvol=@ 0 0\n"
	tests := []struct {
		name, fstab, path string // path is "" where there must be no swapfile
	}{
		{"label", root + "LABEL=system /swap btrfs subvol=/@swap/ 0 0\n/swap/swapfile none swap", "@swap/swapfile"},
		{"uuid", root + "UUID=FSID /swap btrfs subvol=@swap 0 0\n/swap/swapfile none swap", "@swap/swapfile"},
		{"partuuid in capitals", root + "PARTUUID=GUID /swap btrfs subvol=@swap 0 0\n/swap/swapfile none swap", "@swap/swapfile"},
		{"partlabel", root + "PARTLABEL=system /swap btrfs subvol=@swap 0 0\n/swap/swapfile none swap", "@swap/swapfile"},
		{"device as that of root", "/dev/sda2 / btrfs subvol=@\n/dev/sda2 /swap btrfs subvol=@swap 0 0\n/swap/swapfile none swap", "@swap/swapfile"},
		{"subvolid of the top level", root + "LABEL=system /top btrfs subvolid=5\n/top/@swap/swapfile none swap", "@swap/swapfile"},
		{"subvolid", root + "LABEL=system /x btrfs subvolid=ID\n/x/swapfile none swap", "@swap/swapfile"},
		{"default subvolume", root + "LABEL=system /top btrfs\n/top/@swap/swapfile none swap", "@swap/swapfile"},
		{"the second area", root + "/dev/sdb none swap\nLABEL=system /swap btrfs subvol=@swap\n/swap/swapfile none swap", "@swap/swapfile"},
		{"without fields behind", root + "LABEL=system /swap btrfs subvol=@swap\n/swap/../swap//swapfile none swap", "@swap/swapfile"},
		{"another device", root + "/dev/sdb /swap btrfs subvol=@swap\n/swap/swapfile none swap", ""},
		{"another label", root + "LABEL=other /swap btrfs subvol=@swap\n/swap/swapfile none swap", ""},
		{"another uuid", root + "UUID=1 /swap btrfs subvol=@swap\n/swap/swapfile none swap", ""},
		{"another partuuid", root + "PARTUUID=1 /swap btrfs subvol=@swap\n/swap/swapfile none swap", ""},
		{"another file system", root + "LABEL=system /swap ext4 subvol=@swap\n/swap/swapfile none swap", ""},
		{"a device only", root + "/dev/sdb none swap\nUUID=x none swap", ""},
		{"no swap", root, ""},
		{"no such subvolume", root + "LABEL=system /x btrfs subvolid=999\n/x/swapfile none swap", ""},
		{"subvolid that is no number", root + "LABEL=system /x btrfs subvolid=x\n/x/swapfile none swap", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, m := mustAssemble(t, func(s *smalldisk.Parts) {
				part := s.Plan.Partition(plan.RoleRoot)
				putFstab(s, strings.NewReplacer("FSID", part.FSID, "GUID", strings.ToUpper(part.PARTUUID.String()), "subvolid=ID", "subvolid=260").Replace(tt.fstab))
			})
			if tt.path == "" {
				if h.Swapfile != nil || h.Resume != nil {
					t.Fatalf("swapfile %+v, resume %+v; want none", h.Swapfile, h.Resume)
				}
				return
			}
			if h.Swapfile == nil || h.Swapfile.Path != tt.path || h.Resume == nil || h.Resume.Offset != m.Swapfile.ResumeOffset {
				t.Fatalf("swapfile %+v, resume %+v, unread %q; want %s at %d", h.Swapfile, h.Resume, h.Unread, tt.path, m.Swapfile.ResumeOffset)
			}
		})
	}
}

// TestReadSwapfileOfPartition: what a partition is called is not known from
// within, but that / and the swapfile are in one is.
func TestReadSwapfileOfPartition(t *testing.T) {
	for _, tt := range []struct {
		name, what string
		found      bool
	}{{"that of root", "PARTUUID=1", true}, {"another", "PARTUUID=2", false}, {"label of another", "PARTLABEL=system", false}} {
		t.Run(tt.name, func(t *testing.T) {
			tree := fstree.New()
			table := "PARTUUID=1 / btrfs subvol=@\n" + tt.what + " /swap btrfs subvol=@swap\n/swap/f none swap\n"
			if err := loader.Put(tree, "etc/fstab", []byte(table), plan.DefaultEpoch); err != nil {
				t.Fatal(err)
			}
			tree.Freeze()
			disk := imgtest.NewMemDisk(256 << 20)
			done, err := btrfs.Write(t.Context(), disk, tree, btrfs.Params{
				Subvolumes: []btrfs.Subvolume{{Path: "@"}, {Path: "@swap", Empty: true, NoDataCow: true}},
				Swapfiles:  []btrfs.Swapfile{{Path: "@swap/f", Size: 1 << 20}},
			})
			if err != nil {
				t.Fatal(err)
			}
			h, err := Read(t.Context(), disk, done.Size)
			if err != nil {
				t.Fatal(err)
			}
			want := &Resume{Device: "PARTUUID=1", Offset: done.Swapfiles[0].PhysicalPage}
			if !tt.found {
				want = nil
			}
			if diff := cmp.Diff(want, h.Resume); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReadNoSwapfile: one that is named and not there has no offset, in words.
func TestReadNoSwapfile(t *testing.T) {
	h, _ := mustAssemble(t, func(s *smalldisk.Parts) {
		putFstab(s, "LABEL=system / btrfs subvol=@\nLABEL=system /swap btrfs subvol=@swap\n/swap/other none swap\n")
	})
	want := &Resume{Device: "LABEL=system", Unknown: "swapfile @swap/other: file does not exist"}
	if diff := cmp.Diff(want, h.Resume); diff != "" || len(h.Unread) != 1 {
		t.Errorf("%s\nunread %q", diff, h.Unread)
	}
}

// TestReadPolicy: a system whose manifest says that it does not hibernate has
// no resume device, but its swapfile.
func TestReadPolicy(t *testing.T) {
	h, _ := mustAssemble(t, func(s *smalldisk.Parts) {
		remake(t, s, func(p *plan.Plan) { p.Profile.Swap.Policy = plan.SwapSwapfile })
	})
	if h.Resume != nil || h.Swapfile == nil || h.Swapfile.Size != 1<<20 {
		t.Errorf("resume %+v, swapfile %+v", h.Resume, h.Swapfile)
	}
}

// remake plans again after a change of profile and layout.
func remake(t *testing.T, s *smalldisk.Parts, change func(*plan.Plan)) {
	t.Helper()
	change(s.Plan)
	p, err := plan.Make(s.Plan.Profile, s.Plan.Layout, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Plan = p
	putFstab(s, smalldisk.Fstab(p))
}

// TestReadFirstBoot: an offset that the first boot is going to change is not
// one to write down.
func TestReadFirstBoot(t *testing.T) {
	tests := []struct {
		name     string
		ahead    bool // bit 59 of the root partition
		steps    []string
		manifest bool
		known    bool
	}{
		{"over", false, []string{"grow", "swapfile"}, true, true},
		{"makes the swapfile", true, []string{"grow", "swapfile"}, true, false},
		{"grows only", true, []string{"grow"}, true, true},
		{"nobody knows", true, []string{"grow"}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, m := mustAssemble(t, func(s *smalldisk.Parts) {
				remake(t, s, func(p *plan.Plan) { p.Profile.FirstBoot.Steps = tt.steps })
				s.Table = func(table *gpt.Table) {
					table.Partitions[1].Attributes = 0
					if tt.ahead {
						table.Partitions[1].Attributes = 1 << grow.AttributeGrow
					}
				}
				if !tt.manifest {
					s.ESP = noManifest
				}
			})
			want := Resume{Device: "PARTUUID=" + h.Partitions[1].PARTUUID, Offset: m.Swapfile.ResumeOffset}
			if !tt.known {
				want.Offset, want.Unknown = 0, unknownFirstBoot
			}
			if diff := cmp.Diff(&want, h.Resume); diff != "" {
				t.Error(diff)
			}
		})
	}
}
