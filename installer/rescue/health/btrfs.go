package health

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Verdict says in a word how something is.
type Verdict string

// The verdicts, the best first. Unknown is what could not be asked.
const (
	OK      Verdict = "ok"
	Warn    Verdict = "warn"    // nothing is lost, and something is to be done
	Failing Verdict = "failing" // data is lost, or about to be
	Unknown Verdict = "unknown"
)

// Btrfs is what a check of a btrfs found.
type Btrfs struct {
	Verdict  Verdict         `json:"verdict"`
	Reason   string          `json:"reason"`
	Findings []check.Problem `json:"findings"` // the first ones
	Found    int64           `json:"found"`    // all of them
	Skipped  []string        `json:"skipped,omitempty"`
	Bytes    int64           `json:"bytes"` // of file data that were compared with their checksums

	// Healable are bytes of which one copy is bad and another one good: a scrub that
	// may write heals them.
	Healable int64         `json:"healable"`
	Blocks   int64         `json:"blocks"`            // tree blocks of which no copy is good
	Lost     int64         `json:"lost"`              // bytes of file data of which no copy is good
	Files    []DamagedFile `json:"files"`             // that have these, the first maxFiles
	FileNum  int64         `json:"file_count"`        // all of them
	Partial  bool          `json:"partial,omitempty"` // there is more damage than was counted
	Moved    bool          `json:"moved,omitempty"`   // it was written meanwhile: what was found may be that
}

// maxBad bounds how many damaged places are kept: sectors and tree blocks.
const maxBad = 1 << 20

// CheckBtrfs reads all of a file system, without mounting or changing it, and with
// data also all files whose data has checksums. It may be mounted, while nothing
// writes to it. Memory is that of package check.
// progress is told bytes of file data; it may be nil. The error is that of the
// context, or of a file system that cannot be opened, of class fault.Input.
func CheckBtrfs(ctx context.Context, r io.ReaderAt, size int64, data bool, progress func(done, total int64)) (*Btrfs, error) {
	fs, err := reader.Open(r, size)
	if err != nil {
		return nil, err
	}
	return checkOpen(ctx, fs, data, progress)
}

func checkOpen(ctx context.Context, fs *reader.FS, data bool, progress func(done, total int64)) (*Btrfs, error) {
	bad := damages{copies: map[ondisk.Logical]copies{}}
	found, err := check.Run(ctx, fs, check.Options{Data: data, Progress: progress, Damaged: bad.add})
	if err != nil {
		return nil, err
	}
	report := &Btrfs{Findings: found.Problems, Found: found.Found, Skipped: found.Skipped, Bytes: found.VerifiedBytes, Partial: bad.over, Files: []DamagedFile{}}
	lost := bad.sum(report, int64(fs.Super().NodeSize))
	if len(lost) > 0 {
		if err := report.nameFiles(ctx, fs, lost); err != nil {
			return nil, err
		}
	}
	report.Moved = fs.Moved()
	report.judge()
	return report, nil
}

// judge says what all that means.
func (b *Btrfs) judge() {
	switch {
	case b.Moved && b.Found > 0:
		b.Verdict, b.Reason = Unknown, "it was written meanwhile: check it while it is not mounted, or mounted read-only"
	case b.Lost > 0 || b.Blocks > 0:
		b.Verdict = Failing
		b.Reason = fmt.Sprintf("%d bytes of %d files and %d tree blocks have no good copy left", b.Lost, b.FileNum, b.Blocks)
	case b.Healable > 0:
		b.Verdict, b.Reason = Warn, fmt.Sprintf("%d bytes have a bad copy and a good one: a scrub that may write heals them", b.Healable)
	case b.Found > 0:
		b.Verdict, b.Reason = Failing, fmt.Sprintf("the file system contradicts itself in %d places", b.Found)
	case b.Bytes == 0:
		b.Verdict, b.Reason = OK, "all that describes the files is right"
	default:
		b.Verdict, b.Reason = OK, fmt.Sprintf("all that describes the files is right, and %d bytes of them", b.Bytes)
	}
}

// copies counts those of a place that are bad.
type copies struct {
	bad, of uint8
	data    bool
}

// damages collects bad copies, from several goroutines.
type damages struct {
	mu     sync.Mutex
	copies map[ondisk.Logical]copies
	over   bool // there were more than maxBad places
}

func (d *damages) add(bad reader.Damage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, known := d.copies[bad.Logical]
	if !known && len(d.copies) >= maxBad {
		d.over = true
		return
	}
	d.copies[bad.Logical] = copies{bad: c.bad + 1, of: uint8(bad.Copies), data: bad.Data}
}

// sum counts what is lost, and returns the places of lost data in order.
func (d *damages) sum(b *Btrfs, node int64) (lost []ondisk.Logical) {
	for at, c := range d.copies {
		switch {
		case c.bad < c.of && c.data:
			b.Healable += ondisk.SectorSize * int64(c.bad)
		case c.bad < c.of:
			b.Healable += node * int64(c.bad)
		case c.data:
			b.Lost += ondisk.SectorSize
			lost = append(lost, at)
		default:
			b.Blocks++
		}
	}
	slices.SortFunc(lost, cmp.Compare)
	return lost
}

// Second is the opinion of btrfs-progs.
type Second struct {
	Clean bool   `json:"clean"`
	Text  string `json:"text"` // the last lines that it printed
}

// BtrfsCheck asks "btrfs check --readonly" of btrfs-progs about a node that is not
// mounted, in the mode that needs little memory. The error is of class fault.Input
// where there is no such program, or that of the context.
func BtrfsCheck(ctx context.Context, program, node string) (*Second, error) {
	var out tail
	cmd := exec.CommandContext(ctx, program, "check", "--readonly", "--mode", "lowmem", node)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil && cmd.ProcessState == nil {
		return nil, fault.New(fault.Input, "go without it: the check before has looked at the same things", "btrfs check: %w", err)
	}
	if cmd.ProcessState.ExitCode() < 0 { // a signal, as when there is too little memory
		return nil, fault.New(fault.Input, "go without it: the check before has looked at the same things", "btrfs check: %w", err)
	}
	return &Second{Clean: err == nil, Text: out.String()}, nil
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

const maxTail = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[max(0, len(p)-maxTail):]...)
	t.b = t.b[max(0, len(t.b)-maxTail):]
	return len(p), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(strings.TrimSpace(string(t.b)), "\uFFFD") }
