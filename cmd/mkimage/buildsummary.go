package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// buildSummary is the result of a build.
type buildSummary struct {
	MessageType string        `json:"message_type"`
	Profile     string        `json:"profile"`
	Payload     string        `json:"payload,omitempty"` // of a medium: the profile that it installs or brings back
	Kind        string        `json:"kind,omitempty"`    // of a medium that only brings back: "rescue"
	Layout      string        `json:"layout"`
	Source      string        `json:"source"`
	Path        string        `json:"path"`
	Format      string        `json:"format"`
	Size        int64         `json:"size"`      // of the disk
	Allocated   int64         `json:"allocated"` // of the file, on the host's disk
	Seed        string        `json:"seed"`
	Packages    int           `json:"packages"`
	Kernels     []buildKernel `json:"kernels"`
	Rescue      *buildRescue  `json:"rescue,omitempty"`
	RootFree    int64         `json:"root_free"`
	DataBytes   int64         `json:"data_bytes"`
	StoredBytes int64         `json:"stored_bytes"`
	Like        string        `json:"like,omitempty"`
	KeptBytes   int64         `json:"kept_bytes,omitempty"` // of stored_bytes, where the older image has them
	ESPUsed     int64         `json:"esp_used"`
	ESPSize     int64         `json:"esp_size"`
	Resume      *summarySwap  `json:"swapfile,omitempty"`
	Stages      []stageTime   `json:"stages"`
	Files       []string      `json:"files"` // all that was written
	Seconds     float64       `json:"seconds"`
}

type summarySwap = summarySwapfile

type buildKernel struct {
	Version   string `json:"version"`
	Size      int64  `json:"size"`
	Initramfs int64  `json:"initramfs"`
	Modules   int    `json:"modules"`
}

// buildRescue is the rescue environment of a medium.
type buildRescue struct {
	Size     int64            `json:"size"`   // of the archive
	Memory   map[string]int64 `json:"memory"` // bytes by what takes them
	Programs []string         `json:"programs"`
	Absent   []string         `json:"absent"` // programs that the payload's system has not, or not so that they can be taken
}

func newBuildRescue(r *image.RescueResult) *buildRescue {
	if r == nil {
		return nil
	}
	s := &buildRescue{Size: r.Size, Memory: map[string]int64{}, Programs: []string{}, Absent: []string{}}
	for _, p := range r.Parts {
		s.Memory[p.Name] = p.Bytes
	}
	for _, p := range r.Programs {
		s.Programs = append(s.Programs, p.Name)
	}
	for _, p := range r.Absent {
		s.Absent = append(s.Absent, p.Name)
	}
	return s
}

// print is a line for people.
func (r *buildRescue) print(w io.Writer) {
	var memory int64
	for _, n := range r.Memory {
		memory += n
	}
	fmt.Fprintf(w, "rescue\t%s, %s in memory", humanBytes(r.Size), humanBytes(memory))
	if len(r.Absent) > 0 {
		fmt.Fprintf(w, "; without %s, which the payload's system lacks", printable(strings.Join(r.Absent, ", ")))
	}
	fmt.Fprintln(w)
}

func newBuildSummary(f *buildFlags, p *plan.Plan, src *source.Source, o *outputs, r *image.Result, clock *stopwatch) *buildSummary {
	esp := r.Manifest.Partition("esp")
	s := &buildSummary{
		MessageType: "summary", Profile: p.Name(), Layout: p.Layout.Name, Source: src.Spec.String(), Path: f.output, Format: f.format,
		Size: r.Size, Allocated: o.allocated, Seed: p.Seed.String(), Packages: len(src.Packages),
		Like: f.like, ESPUsed: esp.Used, ESPSize: esp.Size, Stages: clock.end(), Files: o.names(), Seconds: clock.seconds(),
	}
	if p.Medium != nil {
		s.Payload, s.Kind = p.Profile.Name, p.Medium.Kind
	}
	s.addRoot(r)
	s.Rescue = newBuildRescue(r.Rescue)
	for _, k := range r.Kernels {
		s.Kernels = append(s.Kernels, buildKernel{k.Version, k.Size, int64(len(k.Archive.Data)), len(k.Archive.Modules)})
	}
	return s
}

// addRoot adds what the root file system has, where there is one.
func (s *buildSummary) addRoot(r *image.Result) {
	if r.Root == nil {
		return
	}
	s.RootFree, s.DataBytes, s.StoredBytes, s.KeptBytes = r.Root.Size-r.Manifest.Partition("root").Used, r.Root.DataBytes, r.Root.StoredBytes, r.Root.KeptBytes
	for _, w := range r.Root.Swapfiles {
		s.Resume = &summarySwap{w.Path, w.Size, w.UUID.String(), w.PhysicalPage}
	}
}

func (s *buildSummary) print(w io.Writer) {
	fmt.Fprintf(w, "%s: disk of %s, %s on this one\n", printable(s.Path), humanBytes(s.Size), humanBytes(s.Allocated))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "profile\t%s, layout %s\n", s.Profile, s.Layout)
	switch {
	case s.Kind != "":
		fmt.Fprintf(t, "brings back\t%s\n", s.Payload)
	case s.Payload != "":
		fmt.Fprintf(t, "installs\t%s\n", s.Payload)
	}
	fmt.Fprintf(t, "source\t%s", printable(s.Source))
	if s.Packages > 0 {
		fmt.Fprintf(t, ", %d packages", s.Packages)
	}
	fmt.Fprintln(t)
	if s.Kind == "" {
		fmt.Fprintf(t, "content\t%s, stored in %s; %s free\n", humanBytes(s.DataBytes), humanBytes(s.StoredBytes), humanBytes(s.RootFree))
	}
	if s.Like != "" {
		fmt.Fprintf(t, "kept\t%s of it where %s has them\n", humanBytes(s.KeptBytes), printable(s.Like))
	}
	for _, k := range s.Kernels {
		fmt.Fprintf(t, "kernel\t%s, %s; initramfs %s, %d modules\n", k.Version, humanBytes(k.Size), humanBytes(k.Initramfs), k.Modules)
	}
	if s.Rescue != nil {
		s.Rescue.print(t)
	}
	fmt.Fprintf(t, "ESP\t%s of %s used\n", humanBytes(s.ESPUsed), humanBytes(s.ESPSize))
	if s.Resume != nil {
		fmt.Fprintf(t, "swapfile\t%s, %s, resume offset %d\n", s.Resume.Path, humanBytes(s.Resume.Size), s.Resume.ResumeOffset)
	}
	fmt.Fprintf(t, "seed\t%s\n", s.Seed)
	fmt.Fprintf(t, "took\t%.1f s:", s.Seconds)
	for _, st := range s.Stages {
		fmt.Fprintf(t, " %s %.1f", st.Stage, st.Seconds)
	}
	t.Flush()
	fmt.Fprint(w, "\n\n")
	s.printNext(w)
}

// printNext prints what can be done with the image: other formats than raw are
// not read by all commands.
func (s *buildSummary) printNext(w io.Writer) {
	name := shellWord(s.Path)
	switch s.Format {
	case formatZstd:
		fmt.Fprintf(w, "Unpack it: zstd -d %s\n", name)
	case formatQcow2:
		fmt.Fprintf(w, "Boot it:     mkimage run %s\nMake it raw: qemu-img convert -O raw %s disk.img\n", name, name)
	default:
		fmt.Fprintf(w, "Boot it:      mkimage run %s\nLook into it: mkimage inspect %s\nCheck it:     mkimage verify %s\n", name, name, name)
	}
}

// shellWord returns a text as one word of a command that can be copied to a
// shell. What a terminal might act upon is written as bash reads it.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+:,=@%", r)
	}
	quoted := printable(text)
	switch {
	case quoted != text:
		return "$'" + strings.ReplaceAll(quoted[1:len(quoted)-1], "'", `\'`) + "'"
	case text == "" || strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }):
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}
