package source

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder"
)

type reports []string

func (r *reports) Report(stage builder.Stage, done, total int64) {
	*r = append(*r, fmt.Sprintf("%s %d/%d", stage, done, total))
}

func TestWatcher(t *testing.T) {
	const log = `I: downloading packages with apt...
Need to get 3000 B of archives.
Get:1 http://m.example/debian trixie/main amd64 libc6 amd64 2.41-12 [3000 B]
Unpacking libc6:amd64 (2.41-12) ...
Setting up libc6:amd64 (2.41-12) ...
I: installing remaining packages inside the chroot...
Need to get 6 kB/9 kB of archives.
Get:1 http://m.example/debian trixie/main amd64 sudo amd64 1.9 [6,000 B]
Get:2 http://m.example/debian trixie InRelease [140 kB]
Unpacking sudo (1.9) ...
Setting up sudo (1.9) ...
Setting up sudo (1.9) ...
I: creating tarball...
`
	var got reports
	w := newWatcher(&got)
	// In pieces of any size, as a pipe gives them.
	for i := 0; i < len(log); i += 7 {
		if n, err := w.Write([]byte(log[i:min(i+7, len(log))])); err != nil || n == 0 {
			t.Fatal(n, err)
		}
	}
	want := reports{"source 0/0", "source 0/0", "source 0/0", "source 5000/9000", "source 7000/9000", "source 9000/9000", "source 9000/9000", "source 9000/9000"}
	if !slices.Equal(got, want) {
		t.Errorf("reports = %q; want %q", got, want)
	}
	if len(w.last) != tailLines || w.last[tailLines-1] != "I: creating tarball..." {
		t.Errorf("last lines: %q", w.last)
	}
}

func TestWatcherLongLine(t *testing.T) {
	var got reports
	w := newWatcher(&got)
	fmt.Fprintf(w, "%s\n%s", strings.Repeat("x", 3*maxLine), "end")
	fmt.Fprint(w, "ing\r\n")
	if len(w.last) != 2 || len(w.last[0]) != maxLine || w.last[1] != "ending" {
		t.Errorf("lines of %d bytes, the last %q", len(w.last[0]), w.last[len(w.last)-1])
	}
}

func TestAptBytes(t *testing.T) {
	tests := []struct {
		number, unit string
		want         int64
	}{
		{"0", "B", 0}, {"999", "B", 999}, {"49.4", "kB", 49400}, {"207", "MB", 207_000_000}, {"1.5", "GB", 1_500_000_000},
		{"1,234", "B", 1234}, {"1.2.3", "B", 0}, {"9999999999", "GB", 0},
	}
	for _, tt := range tests {
		if got := aptBytes(tt.number, tt.unit); got != tt.want {
			t.Errorf("aptBytes(%q, %q) = %d; want %d", tt.number, tt.unit, got, tt.want)
		}
	}
}
