// Package verify checks a whole disk image: that it is what was built, byte
// for byte, and that what it is made of fits together, so that it can boot.
//
// It shares nothing with the writing half of the program but the structures of
// the formats, the plan, and where a partition table stands and what it may
// hold, which package gpt has once for both; the bytes of a table are written
// by go-diskfs and read by us. It never stops at the first finding: every check
// that can still be made is made. It changes nothing and repairs nothing.
//
// What it does not look at: whether a kernel works, whether the programs of
// the system start, signatures of any kind.
package verify

import (
	"context"
	"io"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// Options says what an image is verified against, and how.
type Options struct {
	Manifest *manifest.Manifest // the one beside the image; nil uses the copy on the ESP
	Data     bool               // also verify all file data against the checksums of the root file system
	Workers  int                // goroutines that read and hash; 0 means GOMAXPROCS
	Progress builder.Progress   // nil shows nothing
}

// Image verifies the image of size bytes behind r. What is wrong with it is in
// the report; the error is that of a cancelled context or of reading.
func Image(ctx context.Context, r io.ReaderAt, size int64, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = builder.Silent{}
	}
	v := &run{Options: o, ctx: ctx, r: r, size: size, report: &Report{Size: size}}
	for _, stage := range []func() error{
		v.checkTable, v.checkESP, v.checkManifest, v.wantRoot, v.checkDigests, v.checkFiles, v.checkRoot, v.checkIdentity,
		v.checkSwapfile, v.checkFstab, v.checkBoot,
	} {
		if err := stage(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return v.report, nil
}

// run is a verification under way. What a check could not open is nil for
// those that follow.
type run struct {
	Options
	ctx    context.Context
	r      io.ReaderAt
	size   int64
	report *Report

	table    *gpt.Table
	espPart  *gpt.Partition
	rootPart *gpt.Partition
	esp      *espreader.FS
	espSound bool // so that walking its directories ends
	root     *reader.FS
	top      *reader.Volume // the top level of root
	manifest *manifest.Manifest
}

// check begins a check. The result is valid until the next one begins.
func (v *run) check(name, subject string) *Check {
	v.report.Checks = append(v.report.Checks, Check{Name: name, Subject: subject, Problems: []Problem{}})
	return &v.report.Checks[len(v.report.Checks)-1]
}
