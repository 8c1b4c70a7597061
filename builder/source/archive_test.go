package source

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const samplePackages = "Package: tzdata\nVersion: 2025b\nArchitecture: all\nSHA256: cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n"

const sampleStatus = "Package: zsh\nStatus: deinstall ok config-files\nVersion: 5\nArchitecture: all\n\n" +
	"Package: tzdata\nStatus: install ok installed\nVersion: 2025b\nArchitecture: all\n\n"

// member is one member of a sample archive; mode and type come from the name.
type member struct {
	name, content string
	change        func(*tar.Header)
}

// needed are the members without which an archive is refused.
func needed() []member {
	return []member{
		{name: "./"},
		{name: "./etc/apt/sources.list", content: "deb http://mirror.example/debian trixie main\n"},
		{name: "./mkimage-packages", content: samplePackages},
		{name: "./var/lib/dpkg/status", content: sampleStatus},
	}
}

func archiveOf(t testing.TB, members []member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(m.content)), ModTime: time.Unix(100, 0), Format: tar.FormatPAX}
		if strings.HasSuffix(m.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if m.change != nil {
			m.change(h)
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func rewriteSample(t testing.TB, members []member) (out []byte, index []byte, err error) {
	t.Helper()
	var b bytes.Buffer
	rw := rewriter{epoch: time.Unix(200, 0), sources: "deb public trixie main\n"}
	index, err = rw.rewrite(bytes.NewReader(archiveOf(t, members)), &b)
	return b.Bytes(), index, err
}

// list renders an archive, one line for each member.
func list(t testing.TB, archive []byte) []string {
	t.Helper()
	var lines []string
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%c %s %o %d:%d%s%s %s %d,%d %q %q", h.Typeflag, h.Name, h.Mode, h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime.UTC().Format("15:04:05.000"), h.Devmajor, h.Devminor, h.Linkname, content)
		for _, name := range slices.Sorted(maps.Keys(h.PAXRecords)) {
			line += fmt.Sprintf(" %s=%q", name, h.PAXRecords[name])
		}
		lines = append(lines, line)
	}
}

func TestRewrite(t *testing.T) {
	got, index, err := rewriteSample(t, append(needed(),
		member{name: "./new", change: func(h *tar.Header) { h.ModTime = time.Unix(201, 0) }},
		member{name: "./late", change: func(h *tar.Header) { h.ModTime = time.Unix(200, 5) }},
		member{name: "./early", content: "e", change: func(h *tar.Header) {
			h.ModTime, h.AccessTime, h.ChangeTime = time.Unix(99, 999_000_000), time.Unix(5, 0), time.Unix(6, 0)
			h.Uid, h.Gid, h.Uname, h.Gname, h.Mode = 7, 8, "host", "host", 0o104755
		}},
		member{name: "./link", change: func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeLink, "./early" }},
		member{name: "./symlink", change: func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeSymlink, "../x/./y" }},
		member{name: "./dev/null", change: func(h *tar.Header) { h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, 1, 3 }},
		member{name: "./attributes", change: func(h *tar.Header) {
			h.PAXRecords = map[string]string{
				"SCHILY.xattr.security.capability": "\x01\x00cap", "SCHILY.xattr.security.selinux": "host",
				"SCHILY.xattr.user.x": "host", "MKIMAGE.comment": "host",
			}
		}},
	))
	if err != nil {
		t.Fatal(err)
	}
	sorted := "Package: tzdata\nStatus: install ok installed\nVersion: 2025b\nArchitecture: all\n\n" +
		"Package: zsh\nStatus: deinstall ok config-files\nVersion: 5\nArchitecture: all\n\n"
	want := []string{
		`5 ./ 755 0:0 00:01:40.000 0,0 "" ""`,
		`0 etc/apt/sources.list 644 0:0 00:01:40.000 0,0 "" "deb public trixie main\n"`,
		fmt.Sprintf(`0 var/lib/dpkg/status 644 0:0 00:01:40.000 0,0 "" %q`, sorted),
		`0 new 644 0:0 00:03:20.000 0,0 "" ""`,
		`0 late 644 0:0 00:03:20.000 0,0 "" ""`,
		`0 early 4755 7:8 00:01:39.000 0,0 "" "e"`,
		`1 link 644 0:0 00:01:40.000 0,0 "early" ""`,
		`2 symlink 644 0:0 00:01:40.000 0,0 "../x/./y" ""`,
		`3 dev/null 644 0:0 00:01:40.000 1,3 "" ""`,
		`0 attributes 644 0:0 00:01:40.000 0,0 "" "" SCHILY.xattr.security.capability="\x01\x00cap"`,
	}
	if d := cmp.Diff(want, list(t, got)); d != "" {
		t.Errorf("archive (-want +got):\n%s", d)
	}
	if string(index) != samplePackages {
		t.Errorf("index = %q; want %q", index, samplePackages)
	}
}

func TestLeftovers(t *testing.T) {
	tests := []struct {
		name string
		want bool
	}{
		{"etc/resolv.conf", true},
		{"etc/hosts", false},
		{"etc/ssh/ssh_host_rsa_key", true},
		{"etc/ssh/ssh_host_rsa_key.pub", true},
		{"etc/ssh/moduli", false},
		{"etc/passwd", false},
		{"etc/passwd-", true},
		{"etc/machine-id", false},
		{"var/log/", false},
		{"var/log/journal/", false},
		{"var/log/dpkg.log", true},
		{"var/log/apt/term.log", true},
		{"var/tmp/", false},
		{"var/tmp/x/", true},
		{"tmp/x", true},
		{"tmpfiles", false},
		{"var/cache/apt/pkgcache.bin", true},
		{"var/cache/apt/", false},
		{"var/lib/apt/lists/partial/", false},
		{"var/lib/apt/lists/x_Packages", true},
		{"var/lib/dpkg/status-old", true},
		{"var/lib/dpkg/info/a.list", false},
		{"srv/etc/hostname", false},
	}
	for _, tt := range tests {
		name, dir := strings.CutSuffix(tt.name, "/")
		if got := isLeftover(name, dir); got != tt.want {
			t.Errorf("isLeftover(%q) = %v; want %v", tt.name, got, tt.want)
		}
	}
}

func TestRewriteRefuses(t *testing.T) {
	without := func(i int) []member { return slices.Delete(needed(), i, i+1) }
	tests := []struct {
		name string
		in   []member
		want string
	}{
		{"no sources.list", without(1), "archive: has no etc/apt/sources.list"},
		{"no index", without(2), "archive: has no mkimage-packages"},
		{"no status", without(3), "archive: has no var/lib/dpkg/status"},
		{"link to what is left out", append(needed(), member{name: "./etc/hostname"}, member{name: "./x", change: func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeLink, "./etc/hostname" }}),
			"archive: ./x: hard link to etc/hostname, which is left out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := rewriteSample(t, tt.in); errorText(err) != tt.want {
				t.Errorf("error %q; want %q", errorText(err), tt.want)
			}
		})
	}
	whole := archiveOf(t, needed())
	var rw rewriter
	if _, err := rw.rewrite(bytes.NewReader(whole[:len(whole)/2]), io.Discard); err == nil || !strings.HasPrefix(err.Error(), "archive: ") {
		t.Errorf("half an archive gives error %v", err)
	}
}

func TestSortStanzas(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"one", "A: b\n", "A: b\n\n"},
		{"order", "P: b\n\nP: a-x\n\n\n\nP: a\nV: 1\n\n", "P: a\nV: 1\n\nP: a-x\n\nP: b\n\n"},
	}
	for _, tt := range tests {
		if got := string(sortStanzas([]byte(tt.in))); got != tt.want {
			t.Errorf("%s: sortStanzas(%q) = %q; want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

// FuzzRewrite rewrites what was rewritten: nothing may change any more.
func FuzzRewrite(f *testing.F) {
	whole := archiveOf(f, needed())
	f.Add(whole)
	f.Add(whole[:len(whole)/3])
	f.Fuzz(func(t *testing.T, in []byte) {
		rewrite := func(in []byte) ([]byte, error) {
			var b bytes.Buffer
			rw := rewriter{epoch: time.Unix(200, 0), sources: "x\n"}
			_, err := rw.rewrite(bytes.NewReader(in), &b)
			return b.Bytes(), err
		}
		once, err := rewrite(in)
		if err != nil {
			return
		}
		// The index was taken out, and comes in again at the end.
		twice, err := rewrite(append(once[:len(once)-1024:len(once)-1024], archiveOf(t, []member{{name: "./mkimage-packages"}})...))
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("rewriting again gives another archive: %v", err)
		}
	})
}
