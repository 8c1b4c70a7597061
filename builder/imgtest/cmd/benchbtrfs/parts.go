package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// ours writes the reference userland with the subvolumes of a laptop.
func (b *bench) ours(name, source string, oneCore bool) contender {
	out := b.path("ours.img")
	c := contender{name: name, output: out}
	s := step{argv: []string{
		b.mkimage, "mkfs", "--from", source, "--root-subvolume", "@", "--subvolume", "@home:home",
		"--subvolume", "@nix:nix", "--subvolume", "@var:var", "--compress", "zstd:3", "-o", out,
	}}
	if oneCore {
		s.argv = append(onFirstCore, s.argv...)
		s.env = []string{"GOMAXPROCS=1"}
	}
	c.steps = []step{s, syncFile(out)}
	return c
}

var onFirstCore = []string{"taskset", "-c", "0"}

// syncFile ends every contender, so that all of them count the time until the
// bytes are on the disk, whatever a program does of its own.
func syncFile(path string) step { return step{argv: []string{"sync", path}} }

// mkfs is btrfs-progs with the same subvolumes, from a tree in which they are
// directories.
func (b *bench) mkfs(name string, oneCore bool) contender {
	out := b.path("mkfs.img")
	argv := []string{
		"mkfs.btrfs", "-q", "--rootdir", b.userland.Split, "--subvol", "@", "--subvol", "@home",
		"--subvol", "@nix", "--subvol", "@var", "--compress", "zstd:3", out,
	}
	if oneCore {
		argv = append(onFirstCore, argv...)
	}
	return contender{name: name, output: out, steps: []step{{argv: argv}, syncFile(out)}}
}

// extractAndMkfs is how an archive becomes a file system without us.
func (b *bench) extractAndMkfs() contender {
	out, scrap := b.path("extracted.img"), b.path("extracted")
	return contender{name: "tar x to the host + mkfs.btrfs --compress zstd:3", output: out, scrap: scrap, steps: []step{
		{argv: []string{"tar", "-C", scrap, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", b.userland.Tar}},
		{argv: []string{"mkfs.btrfs", "-q", "--rootdir", scrap, "--subvol", "home", "--subvol", "var", "--compress", "zstd:3", out}},
		syncFile(out),
	}}
}

// floor only reads the archive, compresses and writes.
func (b *bench) floor() contender {
	out := b.path("floor.zst")
	return contender{name: "zstd -3 -T2 of the archive (floor)", output: out, steps: []step{
		{argv: []string{"zstd", "-q", "-3", "-T2", b.userland.Tar, "-o", out}}, syncFile(out),
	}}
}

// speed measures both sources on all processors.
func (b *bench) speed(ctx context.Context, out io.Writer) ([]target, error) {
	rs, err := b.race(ctx, []contender{
		b.ours("mkimage from dir", "dir:"+b.userland.Dir, false),
		b.mkfs("mkfs.btrfs --rootdir --compress zstd:3", false),
		b.floor(),
		b.ours("mkimage from tar", "tar:"+b.userland.Tar, false),
		b.extractAndMkfs(),
	})
	if err != nil {
		return nil, err
	}
	printResults(out, "Speed, all processors", rs)
	dir, mkfs, floor, tar, extract := rs[0], rs[1], rs[2], rs[3], rs[4]
	return []target{
		ratio("dir: wall, of mkfs.btrfs", wall, dir, mkfs, 0.55),
		ratio("dir: wall, of the floor", wall, dir, floor, 1.5),
		ratio("tar: wall, of tar x + mkfs.btrfs", wall, tar, extract, 0.40),
		ratio("dir: allocated, of mkfs.btrfs", allocated, dir, mkfs, 1.02),
		ratio("tar: allocated, of mkfs.btrfs", allocated, tar, extract, 1.02),
		peak("dir: peak RSS", dir, 256),
		peak("tar: peak RSS", tar, 256),
	}, nil
}

// oneCore measures both programs on the same processor.
func (b *bench) oneCore(ctx context.Context, out io.Writer) ([]target, error) {
	rs, err := b.race(ctx, []contender{
		b.ours("mkimage from dir, one core", "dir:"+b.userland.Dir, true),
		b.mkfs("mkfs.btrfs, one core", true),
	})
	if err != nil {
		return nil, err
	}
	printResults(out, "One core", rs)
	return []target{ratio("one core: wall, of mkfs.btrfs", wall, rs[0], rs[1], 1.0)}, nil
}

// small measures archives of many small files. Their time must grow no faster
// than their number, with a quarter to spare for caches that overflow.
func (b *bench) small(ctx context.Context, out io.Writer) ([]target, error) {
	fmt.Fprintf(out, "\n## Small files, from tar\n\n| files | wall s: median (min-max) | µs a file | CPU s | peak RSS MiB | allocated MB |\n|---|---|---|---|---|---|\n")
	var targets []target
	var perFile []float64
	rounds := b.rounds
	defer func() { b.rounds = rounds }()
	b.rounds = min(rounds, 3)
	for _, n := range b.counts {
		archive := b.path(fmt.Sprintf("small-%d.tar", n))
		if err := smallArchive(archive, n); err != nil {
			return nil, err
		}
		img := b.path("small.img")
		rs, err := b.race(ctx, []contender{{name: fmt.Sprintf("%d small files", n), output: img, steps: []step{
			{argv: []string{b.mkimage, "mkfs", "--from", "tar:" + archive, "--compress", "zstd:3", "-o", img}}, syncFile(img),
		}}})
		if err != nil {
			return nil, err
		}
		r := rs[0]
		t := r.spread(wall)
		perFile = append(perFile, t.median/float64(n)*1e6)
		fmt.Fprintf(out, "| %d | %.2f (%.2f-%.2f) | %.1f | %.2f | %.0f | %.1f |\n", n, t.median, t.min, t.max,
			perFile[len(perFile)-1], r.spread(cpu).median, r.spread(rss).max, r.spread(allocated).median)
		targets = append(targets, peak(r.name+": peak RSS", r, 512))
	}
	if n := len(perFile); n > 1 {
		targets = append(targets, target{
			name: fmt.Sprintf("time a file: %d files, of %d files", b.counts[n-1], b.counts[n-2]),
			got:  perFile[n-1] / perFile[n-2], limit: 1.25,
		})
	}
	return targets, nil
}
