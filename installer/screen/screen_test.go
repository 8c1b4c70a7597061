package screen

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestRender(t *testing.T) {
	s := State{
		Title: "mkimage: install bandit-full",
		Facts: []Fact{
			{"onto", "/dev/nvme0n1, WD SN770, serial number 2301A, 931.5 GiB"},
			{"because", "it is the only disk that the rules of bandit-installer allow, and this line is longer than one"},
		},
		Steps: []Step{
			{Title: "erase the disk", Status: Done, Took: 1600 * time.Millisecond},
			{Title: "copy the system", Status: Running, Done: 3 << 30, Total: 4 << 30, Took: 30 * time.Second},
			{Title: "write the boot loader"},
		},
		Message: []string{"a message"},
		Result:  "OK",
	}
	want := `mkimage: install bandit-full
============================

onto     /dev/nvme0n1, WD SN770, serial number 2301A, 931.5 GiB
because  it is the only disk that the rules of bandit-installer allow, and this
         line is longer than one

1 of 3 steps were done in 0:32.

a message

   ###   #   #
  #   #  #  #
  #   #  ###
  #   #  #  #
   ###   #   #`
	if diff := cmp.Diff(want, strings.Join(Render(s), "\n")); diff != "" {
		t.Errorf("Render (-want +got):\n%s", diff)
	}
	s.Result = "" // then steps are shown
	running := `
[ ok ] erase the disk               0:02
[ >> ] copy the system              #########...  75% 102 MiB/s 0:10 left
[    ] write the boot loader
`
	if text := strings.Join(Render(s), "\n"); !strings.Contains(text, running) {
		t.Errorf("Render without a result:\n%s\nwant in it:%s", text, running)
	}
	s.Steps[1].Status, s.Result = Failed, "E5"
	if text := strings.Join(Render(s), "\n"); !strings.Contains(text, "\n[FAIL] copy the system              0:30\n") || strings.Contains(text, "boot loader") {
		t.Errorf("Render of a failure:\n%s", text)
	}
}

// TestRenderFits renders more than a screen holds.
func TestRenderFits(t *testing.T) {
	for _, n := range []int{0, 1, 11, 12, 13, 200} {
		s := State{Title: strings.Repeat("t", n), Facts: []Fact{{"name", strings.Repeat("x", n)}}, Result: "E5"}
		for i := range n {
			s.Message = append(s.Message, fmt.Sprintf("line %d \x1b[2J%s", i, strings.Repeat("ä", n)))
		}
		lines := Render(s)
		if len(lines) > Lines-1 {
			t.Errorf("%d lines of message: %d lines", n, len(lines))
		}
		for _, l := range lines {
			if utf8.RuneCountInString(l) > Columns-1 || strings.ContainsFunc(l, func(r rune) bool { return r < ' ' }) {
				t.Errorf("line %q", l)
			}
		}
		if last := lines[len(lines)-1]; n < 200 && !strings.HasPrefix(last, "  #####") {
			t.Errorf("%d lines of message: the result is not there, the last line is %q", n, last)
		}
	}
}
