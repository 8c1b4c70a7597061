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

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := []struct {
		name string
		in   []string
		want []string
	}{
		{"lines", []string{"a\nb\n"}, []string{"a", "b"}},
		{"pieces", []string{"a", "b", "\nc", "\n"}, []string{"ab", "c"}},
		{"without an end", []string{"a\nb"}, []string{"a"}},
		{"empty", []string{"\n\n"}, []string{"", ""}},
		{"longest", []string{long, "\n", "a\n"}, []string{long, "a"}},
		{"too long", []string{long + "x\na\n"}, []string{"a"}},
		{"too long in pieces", []string{long, "x", "more", "\na\n"}, []string{"a"}},
		{"much too long", []string{long, long, long + "y", "z\na\n"}, []string{"a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			w := &lineWriter{call: func(text []byte) { got = append(got, string(text)) }}
			for _, text := range tt.in {
				if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
					t.Fatalf("Write: %d, %v", n, err)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseLine(t *testing.T) {
	tests := []struct {
		in   string
		kind string
		ok   bool
	}{
		{`{"message_type":"status","percent_done":0.5,"total_bytes":9}`, "status", true},
		{`{"message_type":"error","error":{"message":"m"},"item":"/a"}`, "error", true},
		{`{"message_type":"status","total_bytes":-1}`, "", false},
		{`{"message_type":""}`, "", false},
		{`["message_type"]`, "", false},
		{`repository opened`, "", false},
		{`{"message_type":"status"`, "", false},
		{``, "", false},
	}
	for _, tt := range tests {
		if l, ok := parseLine([]byte(tt.in)); ok != tt.ok || l.MessageType != tt.kind {
			t.Errorf("parseLine(%s): %q, %t; expected %q, %t", tt.in, l.MessageType, ok, tt.kind, tt.ok)
		}
	}
}

func TestCodeOf(t *testing.T) {
	tests := map[string]firstboot.Code{
		"write /home/a: no space left on device":                                  firstboot.CodeSpace,
		"write /home/a: disk quota exceeded":                                      firstboot.CodeSpace,
		"ReadFull(<data/6d19>): open /mnt/x: no such file or directory":           firstboot.CodeDamaged,
		"decrypting blob <data/ea57> from 6d19 failed":                            firstboot.CodeDamaged,
		"path tmp: id be2c not found in repository":                               firstboot.CodeDamaged,
		"Unknown blob be2c":                                                       firstboot.CodeDamaged,
		"ReadFull(<data/6d19>): read /mnt/x: input/output error":                  firstboot.CodeDisk,
		"lchown /home/a: operation not permitted":                                 firstboot.CodeIncomplete,
		"read /home/a: input/output error":                                        firstboot.CodeIncomplete,
		"Load(<index/6d19>, 0, 0) failed: no space left on device, so to speak.":  firstboot.CodeSpace,
		"Load(<snapshot/6d19>, 0, 0) failed: invalid data returned: no such luck": firstboot.CodeDamaged,
	}
	for text, want := range tests {
		if got := codeOf(text); got != want {
			t.Errorf("codeOf(%s): %d, expected %d", text, got, want)
		}
	}
}

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

func TestListed(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	for n, want := range map[int]string{0: "", 1: "a", 5: "a, b, c, d, e", 6: "a, b, c, d, e and 1 more"} {
		if got := listed(names[:n]); got != want {
			t.Errorf("listed of %d: %q, expected %q", n, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\x1b[31m": "a b [31m", " \xff ": "\uFFFD",
		strings.Repeat("é", 200): strings.Repeat("é", 200), strings.Repeat("é", 201): strings.Repeat("é", 200) + "…",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q): %q, expected %q", in, got, want)
		}
	}
}

func TestLimited(t *testing.T) {
	for n, ok := range map[int]bool{2: true, 3: true, 4: false} {
		l := limited{most: 3}
		if _, err := l.Write(make([]byte, n)); (err == nil) != ok {
			t.Errorf("%d bytes of 3: %v", n, err)
		}
	}
}

func TestNewest(t *testing.T) {
	at := func(id string, year int) snapshotInfo {
		return snapshotInfo{ID: id, Time: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	a, b, c, d := at("a", 1970), at("b", 2040), at("c", 2040), at("d", -1)
	for want, list := range map[string][]snapshotInfo{"a": {a}, "b": {b, a}, "c": {a, b, c, d}, "d": {d}} {
		if got := newest(list); got.ID != want {
			t.Errorf("newest of %v: %s, expected %s", list, got.ID, want)
		}
	}
}

// restic restores no sockets; some of its releases list them.
func TestVerifierNode(t *testing.T) {
	r := &run{path: t.TempDir(), pin: &pin{Staging: "staging"}}
	put(t, r.staging()+"/f", "abc")
	for kind, want := range map[string]int{"socket": 0, "irregular": 0, "file": 1, "dir": 1} {
		v := &verifier{run: r, wrong: map[string]bool{}}
		v.node(line{Type: kind, Path: "/missing"})
		if len(v.wrong) != want {
			t.Errorf("%s: %d wrong, expected %d", kind, len(v.wrong), want)
		}
	}
	for size, want := range map[uint64]int{2: 1, 3: 0, 4: 1} {
		put(t, r.staging()+"/f", "abc")
		v := &verifier{run: r, wrong: map[string]bool{}}
		v.node(line{Type: "file", Path: "/f", Size: size})
		if len(v.wrong) != want {
			t.Errorf("size %d: %d wrong, expected %d", size, len(v.wrong), want)
		}
	}
}

func TestTypeName(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{0o644: "file", fs.ModeSocket: "", fs.ModeDevice: "dev", fs.ModeDevice | fs.ModeCharDevice: "chardev", fs.ModeNamedPipe: "fifo"} {
		if got := typeName(mode); got != want {
			t.Errorf("typeName(%v): %q, expected %q", mode, got, want)
		}
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
