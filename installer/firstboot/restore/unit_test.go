package restore

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

func TestKindOf(t *testing.T) {
	at := func(n int, magic string) []byte {
		head := make([]byte, superblocks)
		copy(head[n:], magic)
		return head
	}
	tests := []struct {
		name string
		head []byte
		want string
		why  string
	}{
		{"btrfs", at(65600, "_BHRfS_M"), "btrfs", ""},
		{"ext4", at(1080, "\x53\xef"), "ext4", ""},
		{"xfs", at(0, "XFSB"), "xfs", ""},
		{"exfat", at(3, "EXFAT   "), "exfat", ""},
		{"vfat", at(82, "FAT32   "), "vfat", ""},
		{"ntfs", at(3, "NTFS    "), "ntfs3", ""},
		{"luks", at(0, "LUKS\xba\xbe"), "", "encrypted"},
		{"disk", at(510, "\x55\xaa"), "", "partitions"},
		{"zeros", at(0, ""), "", "no file system"},
		{"nothing", nil, "", "no file system"},
		{"ends in the magic", at(65600, "_BHRfS_M")[:65607], "", "no file system"},
		{"ends after the magic", at(65600, "_BHRfS_M")[:65608], "btrfs", ""},
	}
	for _, tt := range tests {
		kind, why := kindOf(tt.head)
		if kind.name != tt.want || !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%s: %q, %q; expected %q, %q", tt.name, kind.name, why, tt.want, tt.why)
		}
	}
	for size, want := range map[int]int{0: 0, 100: 100, superblocks: superblocks, superblocks + 1: superblocks} {
		if head, err := readHead(bytes.NewReader(make([]byte, size))); len(head) != want || err != nil {
			t.Errorf("readHead of %d bytes: %d, %v; expected %d", size, len(head), err, want)
		}
	}
}

func TestWhereMounted(t *testing.T) {
	// Character devices are no disks; any block device will do.
	blocks, _ := filepath.Glob("/dev/loop[0-9]*")
	if len(blocks) < 2 {
		t.Skip("needs two block devices")
	}
	dev := func(name string) device {
		var st unix.Stat_t
		must(t, unix.Stat(name, &st))
		return device{name, uint64(st.Rdev)}
	}
	a, b := dev(blocks[0]), dev(blocks[1])
	mount := func(root, where, source string) string {
		return "36 35 98:0 " + root + " " + where + " rw,noatime shared:1 - ext4 " + source + " rw\n"
	}
	tests := []struct{ name, text, dir, taken string }{
		{"nothing", mount("/", "/", "/dev/null"), "", ""},
		{"there", mount("/", "/mnt/backup", a.name), "/mnt/backup", ""},
		{"elsewhere", mount("/", `/run/media/ada/back\040up`, a.name), "/run/media/ada/back up", ""},
		{"both", mount("/", "/elsewhere", a.name) + mount("/", "/mnt/backup", a.name), "/mnt/backup", ""},
		{"a part of it", mount("/sub", "/elsewhere", a.name), "", ""},
		{"another there", mount("/", "/mnt/backup", b.name), "", b.name},
		{"a part of it there", mount("/sub", "/mnt/backup", a.name), "", a.name},
		{"hidden by another", mount("/", "/mnt/backup", a.name) + mount("/", "/mnt/backup", b.name), "", b.name},
		{"on top of another", mount("/", "/mnt/backup", b.name) + mount("/", "/mnt/backup", a.name), "/mnt/backup", ""},
		{"no form", "x\n - \n1 2 3 4 5 6 -\n", "", ""},
	}
	for _, tt := range tests {
		dir, taken := whereMounted(mountinfo.Parse(tt.text), a, "/mnt/backup")
		if dir != tt.dir || taken != tt.taken {
			t.Errorf("%s: %q, %q; expected %q, %q", tt.name, dir, taken, tt.dir, tt.taken)
		}
	}
}

func TestNeeded(t *testing.T) {
	const gib = 1 << 30
	tests := []struct{ total, files, held, want int64 }{
		{0, 0, 0, leastMargin},
		{100, 0, 40, 60 + leastMargin},
		{100, 0, 100, leastMargin},
		{100, 0, 101, leastMargin},
		{100, 2, 0, 100 + 8192 + leastMargin},
		{leastMargin*50 + 49, 0, 0, leastMargin*51 + 49},
		{leastMargin*50 + 50, 0, 0, leastMargin*51 + 51},
		{100 * gib, 0, 0, 102 * gib},
	}
	for _, tt := range tests {
		if got := needed(tt.total, tt.files, tt.held); got != tt.want {
			t.Errorf("needed(%d, %d, %d): %d, expected %d", tt.total, tt.files, tt.held, got, tt.want)
		}
	}
}

func TestPace(t *testing.T) {
	tests := []struct {
		done, total int64
		took        time.Duration
		rate        int64
		left        time.Duration
	}{
		{0, 100, time.Hour, 0, 0},
		{50, 100, time.Second - 1, 0, 0},
		{50, 100, time.Second, 50, time.Second},
		{100, 100, time.Second, 100, 0},
		{101, 100, time.Second, 101, 0},
		{10, 1010, 10 * time.Second, 1, 1000 * time.Second},
		{1, 1 << 62, time.Second, 1, 0},
	}
	for _, tt := range tests {
		if rate, left := pace(tt.done, tt.total, tt.took); rate != tt.rate || left != tt.left {
			t.Errorf("pace(%d, %d, %v): %d, %v; expected %d, %v", tt.done, tt.total, tt.took, rate, left, tt.rate, tt.left)
		}
	}
}

func TestMeter(t *testing.T) {
	var now time.Time
	var got []int64
	r := &run{System: System{Now: func() time.Time { return now }, Progress: func(p Progress) { got = append(got, p.Done) }}, pin: &pin{Bytes: 100}}
	now = now.Add(time.Hour)
	m := r.meter(StageRestore)
	for i, step := range []time.Duration{0, time.Second - 1, 1, time.Second, time.Millisecond} {
		now = now.Add(step)
		m.set(int64(i), 0)
	}
	if diff := cmp.Diff([]int64{0, 2, 3}, got); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	for _, tt := range []struct{ done, total int64 }{{99, 100}, {100, 100}, {101, 101}, {100, 101}} {
		if m.set(tt.done, 0); m.progress.Total != tt.total {
			t.Errorf("%d bytes of %d, expected of %d", tt.done, m.progress.Total, tt.total)
		}
	}
}

func TestParsePin(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	good := func() map[string]any {
		return map[string]any{"version": 1, "snapshot": id, "phase": "placing", "staging": stagingPrefix + id[:8], "staged": []uint64{1<<64 - 1}}
	}
	tests := []struct {
		key   string
		value any
		want  string
	}{
		{"version", 1, ""},
		{"staging", stagingPrefix + id[:8] + "-2", ""},
		{"version", 2, "version 2, expected 1"},
		{"snapshot", id[:63], "expected 64 hex digits"},
		{"snapshot", id + "0", "expected 64 hex digits"},
		{"snapshot", strings.ToUpper(id), "expected 64 hex digits"},
		{"phase", "", "phase"},
		{"staging", stagingPrefix + "deadbeef", "staging directory"},
		{"staging", stagingPrefix + id[:8] + "/../../etc", "staging directory"},
		{"staged", "x", "cannot unmarshal"},
	}
	for _, tt := range tests {
		fields := good()
		fields[tt.key] = tt.value
		text, err := json.Marshal(fields)
		must(t, err)
		if _, err := parsePin(text); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %v: %v, expected %q", tt.key, tt.value, err, tt.want)
		}
	}
	if _, err := parsePin(make([]byte, maxPin+1)); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a large pin: %v", err)
	}
}

func TestPlain(t *testing.T) {
	_, err := os.Open("/nowhere")
	if got := plain(err); got.Error() != "/nowhere: no such file or directory" || !errors.Is(got, fs.ErrNotExist) {
		t.Errorf("plain: %v", got)
	}
	if plain(nil) != nil {
		t.Error("plain of nothing is something")
	}
}
