package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// defaults are the flags as they are when none is given but -o.
func defaults() mkfsFlags {
	return mkfsFlags{output: "fs.img", size: "auto", compress: "zstd:3", metadata: "dup", checksum: "crc32c"}
}

func TestMkfsParams(t *testing.T) {
	zstd3 := btrfs.Compression{Level: 3}
	tests := []struct {
		name string
		in   func(*mkfsFlags)
		want btrfs.Params
	}{
		{"defaults", func(*mkfsFlags) {}, btrfs.Params{Compression: zstd3}},
		{"scalars", func(f *mkfsFlags) {
			f.size, f.label, f.compress, f.metadata, f.checksum = "1GiB", "nixos", "none", "single", "blake2b"
			f.blockGroupTree, f.workers, f.defaultSubvolume, f.timestamp = true, 3, "@", "-5"
		}, btrfs.Params{Size: 1 << 30, Label: "nixos", Metadata: btrfs.Single, Checksum: ondisk.BLAKE2b, BlockGroupTree: true,
			Workers: 3, Default: "@", Timestamp: time.Unix(-5, 0).UTC()}},
		{"subvolumes", func(f *mkfsFlags) {
			f.rootSubvolume = "@"
			f.subvolumes = []string{"@home:home", "@swap", "@x:a:b"}
			f.noDataCow, f.readOnly = []string{"/@swap"}, []string{"@", "@home"}
		}, btrfs.Params{Compression: zstd3, Subvolumes: []btrfs.Subvolume{
			{Path: "@", Source: ".", ReadOnly: true}, {Path: "@home", Source: "home", ReadOnly: true},
			{Path: "@swap", Empty: true, NoDataCow: true}, {Path: "@x", Source: "a:b"}}}},
		{"swapfiles and snapshots", func(f *mkfsFlags) {
			f.swaps = []string{"@swap/a=b=1MiB"}
			f.snapshots = []string{"@home:@home/.snapshots/1"}
		}, btrfs.Params{Compression: zstd3, Swapfiles: []btrfs.Swapfile{{Path: "@swap/a=b", Size: 1 << 20}},
			Snapshots: []btrfs.Snapshot{{Source: "@home", Path: "@home/.snapshots/1"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := defaults()
			tt.in(&f)
			got, err := f.params("")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("params differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTimestamp(t *testing.T) {
	tests := []struct {
		flag, epoch string
		want        time.Time
	}{
		{"", "", time.Time{}},
		{"", "1700000000", time.Unix(1700000000, 0)},
		{"1", "1700000000", time.Unix(1, 0)},
		{"2026-01-31T12:00:00Z", "", time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)},
		{"2026-01-31T12:00:00.5+01:00", "", time.Date(2026, 1, 31, 11, 0, 0, 5e8, time.UTC)},
	}
	for _, tt := range tests {
		if got, err := parseTimestamp(tt.flag, tt.epoch); err != nil || !got.Equal(tt.want) {
			t.Errorf("parseTimestamp(%q, %q) = %v, %v; want %v", tt.flag, tt.epoch, got, err, tt.want)
		}
	}
	for _, bad := range [][2]string{{"now", ""}, {"1.5", ""}, {"2026-01-31", ""}, {"", "now"}, {"", "1e9"}} {
		if got, err := parseTimestamp(bad[0], bad[1]); fault.ClassOf(err) != fault.Usage {
			t.Errorf("parseTimestamp(%q, %q) = %v, %v; want an error of class Usage", bad[0], bad[1], got, err)
		}
	}
}

func TestParseOwner(t *testing.T) {
	tests := []struct {
		in   string
		want *fstree.Owner
	}{
		{"", nil}, {"0:0", &fstree.Owner{}}, {"1000:100", &fstree.Owner{UID: 1000, GID: 100}}, {"4294967295:0", &fstree.Owner{UID: 1<<32 - 1}},
	}
	for _, tt := range tests {
		got, err := parseOwner(tt.in)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("parseOwner(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range []string{":", "0", "0:", ":0", "-1:0", "0:4294967296", "root:root", "0:0:0"} {
		if got, err := parseOwner(bad); fault.ClassOf(err) != fault.Usage {
			t.Errorf("parseOwner(%q) = %v, %v; want an error of class Usage", bad, got, err)
		}
	}
}
