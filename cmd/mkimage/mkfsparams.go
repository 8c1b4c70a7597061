package main

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// params turns the flags into what the writer is asked for. epoch is the value
// of SOURCE_DATE_EPOCH, or "".
func (f *mkfsFlags) params(epoch string) (p btrfs.Params, err error) {
	if f.output == "" && !f.dryRun {
		return p, fault.New(fault.Usage, "name the file to write: -o FS", "--output is missing")
	}
	p = btrfs.Params{Label: f.label, BlockGroupTree: f.blockGroupTree, Workers: f.workers, Default: f.defaultSubvolume}
	if f.workers < 0 {
		return p, fault.New(fault.Usage, "", "--workers %d: expected 0 or more", f.workers)
	}
	if f.size != "auto" {
		if p.Size, err = parseSize(f.size); err != nil {
			return p, err
		}
	}
	if len(f.label) > ondisk.MaxLabel {
		return p, fault.New(fault.Usage, "", "--label: %d bytes, expected at most %d", len(f.label), ondisk.MaxLabel)
	}
	if p.Seed, err = f.parseSeed(); err != nil {
		return p, err
	}
	if p.Timestamp, err = parseTimestamp(f.timestamp, epoch); err != nil {
		return p, err
	}
	if p.Compression, err = btrfs.ParseCompression(f.compress); err != nil {
		return p, err
	}
	if p.Checksum, err = ondisk.ParseChecksumType(f.checksum); err != nil {
		return p, fault.New(fault.Usage, "", "%w", err)
	}
	switch f.metadata {
	case "dup":
		p.Metadata = btrfs.DUP
	case "single":
		p.Metadata = btrfs.Single
	default:
		return p, fault.New(fault.Usage, "", "--metadata %q: expected dup or single", f.metadata)
	}
	return p, f.addVolumes(&p)
}

// addVolumes adds subvolumes, swapfiles and snapshots.
func (f *mkfsFlags) addVolumes(p *btrfs.Params) error {
	if f.rootSubvolume != "" {
		p.Subvolumes = append(p.Subvolumes, btrfs.Subvolume{Path: f.rootSubvolume, Source: "."})
	}
	for _, text := range f.subvolumes {
		name, source, ok := strings.Cut(text, ":")
		if name == "" || ok && source == "" {
			return fault.New(fault.Usage, "", "--subvolume %q: expected NAME or NAME:PATH", text)
		}
		p.Subvolumes = append(p.Subvolumes, btrfs.Subvolume{Path: name, Source: source, Empty: !ok})
	}
	if err := markSubvolumes(p, "nodatacow", f.noDataCow, func(s *btrfs.Subvolume) { s.NoDataCow = true }); err != nil {
		return err
	}
	if err := markSubvolumes(p, "readonly-subvolume", f.readOnly, func(s *btrfs.Subvolume) { s.ReadOnly = true }); err != nil {
		return err
	}
	for _, text := range f.swaps {
		// The last "=": a path may hold one, a size does not.
		i := strings.LastIndexByte(text, '=')
		if i <= 0 {
			return fault.New(fault.Usage, "", "--swapfile %q: expected PATH=SIZE, such as @swap/swapfile=16GiB", text)
		}
		size, err := parseSize(text[i+1:])
		if err != nil {
			return err
		}
		p.Swapfiles = append(p.Swapfiles, btrfs.Swapfile{Path: text[:i], Size: size})
	}
	for _, text := range f.snapshots {
		source, name, ok := strings.Cut(text, ":")
		if !ok || source == "" || name == "" {
			return fault.New(fault.Usage, "", "--snapshot %q: expected SUBVOLUME:NAME", text)
		}
		p.Snapshots = append(p.Snapshots, btrfs.Snapshot{Source: source, Path: name})
	}
	return nil
}

// markSubvolumes changes the named subvolumes of p.
func markSubvolumes(p *btrfs.Params, flag string, names []string, mark func(*btrfs.Subvolume)) error {
	for _, name := range names {
		same := func(s btrfs.Subvolume) bool { return path.Clean("/"+s.Path) == path.Clean("/"+name) }
		i := slices.IndexFunc(p.Subvolumes, same)
		if i < 0 {
			return fault.New(fault.Usage, "add --subvolume "+name, "--%s %s: no such subvolume", flag, name)
		}
		mark(&p.Subvolumes[i])
	}
	return nil
}

// parseTimestamp reads --timestamp, or else SOURCE_DATE_EPOCH
// (https://reproducible-builds.org/specs/source-date-epoch/). The zero time
// means that neither is given.
func parseTimestamp(flag, epoch string) (time.Time, error) {
	if flag == "" && epoch == "" {
		return time.Time{}, nil
	}
	if flag == "" {
		sec, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return time.Time{}, fault.New(fault.Usage, "unset SOURCE_DATE_EPOCH, or use --timestamp", "SOURCE_DATE_EPOCH %q: expected Unix seconds", epoch)
		}
		return time.Unix(sec, 0).UTC(), nil
	}
	if sec, err := strconv.ParseInt(flag, 10, 64); err == nil {
		return time.Unix(sec, 0).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, flag)
	if err != nil {
		return time.Time{}, fault.New(fault.Usage, "", "--timestamp %q: expected Unix seconds, or a time such as 2026-01-31T12:00:00Z", flag)
	}
	return t.UTC(), nil
}
