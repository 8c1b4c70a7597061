package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// summary is the result of mkfs.
type summary struct {
	MessageType   string             `json:"message_type"`
	Path          string             `json:"path,omitempty"` // empty for a dry run
	DryRun        bool               `json:"dry_run"`
	Source        string             `json:"source"`
	Size          int64              `json:"size"`
	FSID          string             `json:"fsid"`
	DeviceUUID    string             `json:"device_uuid"`
	Label         string             `json:"label"`
	Seed          string             `json:"seed"`
	Timestamp     jsonTime           `json:"timestamp"`
	Subvolumes    []summarySubvolume `json:"subvolumes"`
	Swapfiles     []summarySwapfile  `json:"swapfiles"`
	Entries       counts             `json:"entries"`
	DataBytes     int64              `json:"data_bytes"`
	StoredBytes   int64              `json:"stored_bytes"`
	SharedBytes   int64              `json:"shared_bytes"`
	MetadataBytes int64              `json:"metadata_bytes"`
	Ratio         float64            `json:"ratio"` // stored of data
	Seconds       float64            `json:"seconds"`
}

type summarySubvolume struct {
	ID       uint64 `json:"id"`
	Path     string `json:"path"`
	UUID     string `json:"uuid"`
	ReadOnly bool   `json:"read_only"`
}

type summarySwapfile struct {
	Path         string `json:"path"`
	Size         int64  `json:"size"`
	UUID         string `json:"uuid"`
	ResumeOffset int64  `json:"resume_offset"`
}

// counts are the names in a source, by type.
type counts struct {
	All         int64 `json:"all"`
	Files       int64 `json:"files"`
	Directories int64 `json:"directories"`
	Symlinks    int64 `json:"symlinks"`
	Others      int64 `json:"others"`
}

func countEntries(tree *fstree.Tree) (c counts) {
	for e := range tree.All() {
		c.All++
		switch e.Type() {
		case fstree.TypeRegular:
			c.Files++
		case fstree.TypeDir:
			c.Directories++
		case fstree.TypeSymlink:
			c.Symlinks++
		default:
			c.Others++
		}
	}
	return c
}

func newSummary(f *mkfsFlags, p *btrfs.Params, tree *fstree.Tree, r *btrfs.Result, took time.Duration) *summary {
	s := &summary{
		MessageType: "summary", Path: f.output, DryRun: f.dryRun, Source: f.from,
		Size: r.Size, FSID: r.FSID.String(), DeviceUUID: r.DeviceUUID.String(), Label: p.Label,
		Seed: p.Seed.String(), Timestamp: jsonTime{r.Timestamp.UTC()}, Entries: countEntries(tree),
		DataBytes: r.DataBytes, StoredBytes: r.StoredBytes, SharedBytes: r.SharedBytes, MetadataBytes: r.MetadataBytes,
		Subvolumes: []summarySubvolume{}, Swapfiles: []summarySwapfile{}, Seconds: math.Round(took.Seconds()*1000) / 1000,
	}
	if f.dryRun {
		s.Path = ""
	}
	if r.DataBytes > 0 {
		s.Ratio = math.Round(1000*float64(r.StoredBytes)/float64(r.DataBytes)) / 1000
	}
	for _, v := range r.Subvolumes {
		s.Subvolumes = append(s.Subvolumes, summarySubvolume{v.ID, v.Path, v.UUID.String(), v.ReadOnly})
	}
	for _, w := range r.Swapfiles {
		s.Swapfiles = append(s.Swapfiles, summarySwapfile{w.Path, w.Size, w.UUID.String(), w.PhysicalPage})
	}
	return s
}

func (s *summary) print(w io.Writer) {
	name := printable(s.Path)
	if s.DryRun {
		name = "dry run, nothing written"
	}
	fmt.Fprintf(w, "%s: %s (%d bytes)\n", name, humanBytes(s.Size), s.Size)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	e := s.Entries
	fmt.Fprintf(t, "source\t%s: %d files, %d directories, %d symlinks, %d others\n", printable(s.Source), e.Files, e.Directories, e.Symlinks, e.Others)
	fmt.Fprintf(t, "content\t%s, stored in %s (%.1f %%)", humanBytes(s.DataBytes), humanBytes(s.StoredBytes), 100*s.Ratio)
	if s.SharedBytes > 0 {
		fmt.Fprintf(t, ", %s shared", humanBytes(s.SharedBytes))
	}
	fmt.Fprintf(t, "\nmetadata\t%s a copy\n", humanBytes(s.MetadataBytes))
	fmt.Fprintf(t, "fsid\t%s\n", s.FSID)
	fmt.Fprintf(t, "seed\t%s\n", s.Seed)
	fmt.Fprintf(t, "time\t%s\n", s.Timestamp.Format(time.RFC3339))
	fmt.Fprintf(t, "took\t%.1f s\n", s.Seconds)
	t.Flush()
	if len(s.Subvolumes) > 1 {
		fmt.Fprintln(t, "\nID\tSUBVOLUME\tUUID")
		for _, v := range s.Subvolumes {
			note := ""
			if v.ReadOnly {
				note = "\tread-only"
			}
			path := printable(v.Path)
			if path == "" {
				path = "(top level)"
			}
			fmt.Fprintf(t, "%d\t%s\t%s%s\n", v.ID, path, v.UUID, note)
		}
		t.Flush()
	}
	if len(s.Swapfiles) > 0 {
		fmt.Fprintln(t, "\nSWAPFILE\tSIZE\tRESUME OFFSET")
		for _, f := range s.Swapfiles {
			fmt.Fprintf(t, "%s\t%s\t%d\n", printable(f.Path), humanBytes(f.Size), f.ResumeOffset)
		}
		t.Flush()
	}
}
