package hibernate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const swapsTitle = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

func TestParseSwaps(t *testing.T) {
	tests := []struct {
		name, in string
		want     []Swap
		err      string
	}{
		{"nothing", "", nil, ""},
		{"titles only", swapsTitle, nil, ""},
		{"as the kernel writes it", swapsTitle +
			"/dev/zram0                              partition\t1048572\t\t12\t\t100\n" +
			"/swap/swapfile                          file\t\t524284\t\t0\t\t-2\n",
			[]Swap{
				{Path: "/dev/zram0", Size: 1048572 << 10, Used: 12 << 10, Priority: 100},
				{Path: "/swap/swapfile", File: true, Size: 524284 << 10, Priority: -2},
			}, ""},
		{"deleted", swapsTitle + `/swap/swapfile\040(deleted) file 8 0 -2` + "\n", []Swap{{Path: "/swap/swapfile", File: true, Deleted: true, Size: 8192, Priority: -2}}, ""},
		{"odd name", swapsTitle + "/a\\040b\\134\\011c\\012\u00a0d file 8 0 -2\n", []Swap{{Path: "/a b\\\tc\n\u00a0d", File: true, Size: 8192, Priority: -2}}, ""},
		{"no escape", swapsTitle + `/a\9\400\12 file 8 0 -2`, []Swap{{Path: `/a\9\400\12`, File: true, Size: 8192, Priority: -2}}, ""},
		{"largest", swapsTitle + "/a file 9007199254740991 0 0\n", []Swap{{Path: "/a", File: true, Size: 1<<63 - 1024}}, ""},
		{"too large", swapsTitle + "/a file 9007199254740992 0 0\n", nil, "9007199254740992 KiB, expected at most 9007199254740991"},
		{"size", swapsTitle + "/a file -1 0 0\n", nil, `"-1"`},
		{"used", swapsTitle + "/a file 1 x 0\n", nil, `"x"`},
		{"priority", swapsTitle + "/a file 1 0 y\n", nil, `"y"`},
		{"words", swapsTitle + "/a file 1 0\n", nil, "has 4 words, expected 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSwaps(tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" && tt.err == "" {
				t.Errorf("swaps (-want +got):\n%s", diff)
			}
			if !hasError(err, tt.err) {
				t.Errorf("error %v; want %q", err, tt.err)
			}
		})
	}
}

// hasError reports whether err contains text, or is nil when text is "".
func hasError(err error, text string) bool {
	if text == "" || err == nil {
		return text == "" && err == nil
	}
	return strings.Contains(err.Error(), text)
}

func FuzzParseSwaps(f *testing.F) {
	f.Add(swapsTitle + "/dev/zram0 partition 1048572 12 100\n/swap/swapfile\\040(deleted) file 524284 0 -2\n")
	f.Add("x\n/a file 99999999999999999999 0 0\n")
	f.Add(`\777 \`)
	f.Fuzz(func(t *testing.T, text string) {
		swaps, err := ParseSwaps(text)
		if err != nil {
			return
		}
		for _, s := range swaps {
			if s.Size < 0 || s.Used < 0 || s.Deleted && !s.File {
				t.Errorf("%q: %+v", text, s)
			}
		}
	})
}

func TestActiveAnon(t *testing.T) {
	tests := []struct {
		name, in string
		want     int64
		err      string
	}{
		{"as the kernel writes it", "MemTotal:        2030132 kB\nActive(anon):     123456 kB\nInactive(anon):        0 kB\n", 123456 << 10, ""},
		{"none", "MemTotal: 1 kB\n", 0, "no line Active(anon)"},
		{"other unit", "Active(anon): 1 MB\n", 0, "no line Active(anon)"},
		{"no number", "Active(anon): x kB\n", 0, `"x"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := activeAnon(tt.in); got != tt.want || !hasError(err, tt.err) {
				t.Errorf("activeAnon = %d, %v; want %d, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestFits(t *testing.T) {
	for _, tt := range []struct {
		active, free int64
		want         bool
	}{{0, 0, true}, {1, 0, false}, {97, 100, true}, {98, 100, true}, {99, 100, false}} {
		if got := fits(tt.active, tt.free); got != tt.want {
			t.Errorf("fits(%d, %d) = %v; want %v", tt.active, tt.free, got, tt.want)
		}
	}
}
