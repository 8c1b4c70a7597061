package fstree

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// record makes one PAX record; its length counts its own digits.
func record(key, value string) string {
	rest := len(" =\n") + len(key) + len(value)
	n := rest + len(strconv.Itoa(rest))
	if len(strconv.Itoa(n)) > len(strconv.Itoa(rest)) {
		n++
	}
	return fmt.Sprintf("%d %s=%s\n", n, key, value)
}

func TestParsePAXTime(t *testing.T) {
	tests := []struct {
		in   string
		sec  int64
		nsec uint32
		ok   bool
	}{
		{"0", 0, 0, true}, {"1", 1, 0, true}, {"1.", 1, 0, true}, {"1.5", 1, 5e8, true},
		{"1.123456789", 1, 123456789, true}, {"1.1234567899", 1, 123456789, true},
		{"-1", -1, 0, true}, {"-0.5", -1, 5e8, true}, {"-1.5", -2, 5e8, true}, {"-1.000000001", -2, 999999999, true},
		{"-0.0000000001", -1, 999999999, true}, {"-0.9999999999", -1, 0, true}, {"-1.0000000000", -1, 0, true},
		{"9223372036854775807.999999999", math.MaxInt64, 999999999, true}, {"-9223372036854775808", math.MinInt64, 0, true},
		{"9223372036854775808", 0, 0, false}, {"-9223372036854775808.1", 0, 0, false},
		{".5", 0, 0, false}, {"-", 0, 0, false}, {"+1", 0, 0, false}, {"1.-5", 0, 0, false}, {"1e3", 0, 0, false}, {"1.5.5", 0, 0, false}, {" 1", 0, 0, false},
	}
	for _, tt := range tests {
		got, err := parsePAXTime(tt.in)
		if (err == nil) != tt.ok || tt.ok && *got != (paxTime{tt.sec, tt.nsec}) {
			t.Errorf("parsePAXTime(%q) = %v, %v; want %d.%09d", tt.in, got, err, tt.sec, tt.nsec)
		}
	}
}

func TestPAXMembers(t *testing.T) {
	tests := []struct {
		name    string
		records []string
		want    string // of the listing's last line, or of the error
	}{
		{"nothing", nil, "f 100644 0:0 0.000000000 1 bytes"},
		{"owner and time", []string{"uid", "2097152", "gid", "4294967295", "mtime", "-1.25"}, "f 100644 2097152:4294967295 -2.750000000 1 bytes"},
		{"path", []string{"path", "a/b"}, "a/b 100644"},
		{"later record wins", []string{"uid", "1", "uid", "2"}, "f 100644 2:0"},
		{"withdrawn record", []string{"uid", "1", "uid", "", "mtime", "", "path", ""}, "f 100644 0:0 0.000000000 1 bytes"},
		{"passed over", []string{"atime", "x", "comment", "", "SCHILY.dev", "?", "SCHILY.acl.access", ""}, "f 100644"},
		{"attributes", []string{"SCHILY.xattr.user.b", "2\n\x00", "SCHILY.xattr.user.a", ""}, `f 100644 0:0 0.000000000 user.a="" user.b="2\n\x00" 1 bytes`},
		{"attribute name with escapes", []string{"SCHILY.xattr.user.%3D%25%41", "1"}, `f 100644 0:0 0.000000000 user.=%%41="1"`},
		{"libarchive's attribute", []string{"LIBARCHIVE.xattr.user.%C3%A9", "AAE"}, `f 100644 0:0 0.000000000 user.é="\x00\x01"`},
		{"padded base64", []string{"LIBARCHIVE.xattr.user.a", "eA=="}, `f 100644 0:0 0.000000000 user.a="x"`},
		{"both forms", []string{"LIBARCHIVE.xattr.user.a", "eA", "SCHILY.xattr.user.a", "x"}, `f 100644 0:0 0.000000000 user.a="x" 1 bytes`},
		{"longest attribute", []string{"SCHILY.xattr." + strings.Repeat("n", 255), strings.Repeat("v", 65536)}, "f 100644 0:0 0.000000000 nnnn"},

		{"attribute name too long", []string{"SCHILY.xattr." + strings.Repeat("n", 256), ""}, "name of 256 bytes, expected 1 to 255"},
		{"attribute without name", []string{"SCHILY.xattr.", "x"}, "name of 0 bytes, expected 1 to 255"},
		{"attribute value too long", []string{"SCHILY.xattr.a", strings.Repeat("v", 65537)}, "value of 65537 bytes, expected at most 65536"},
		{"bad base64", []string{"LIBARCHIVE.xattr.a", "!"}, `"LIBARCHIVE.xattr.a": illegal base64`},
		{"bad escape", []string{"LIBARCHIVE.xattr.%zz", "!"}, `invalid URL escape`},
		{"access control list", []string{"SCHILY.acl.access", "user::rwx"}, "access control lists in text form"},
		{"uid too large", []string{"uid", "4294967296"}, `"uid": got "4294967296", expected a number up to 4294967295`},
		{"uid negative", []string{"uid", "-1"}, `"uid": got "-1"`},
		{"size too large", []string{"size", "9223372036854775807"}, "size 9223372036854775807, expected 0 to"},
		{"path with NUL", []string{"path", "a\x00"}, `path element "a\x00" is not allowed`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var data string
			for i := 0; i < len(tt.records); i += 2 {
				data += record(tt.records[i], tt.records[i+1])
			}
			checkLast(t, blocks(header("@", 'x', int64(len(data))), []byte(data), header("f", '0', 1), []byte("x"), endOfArchive), tt.want)
		})
	}
}

// A record's size counts, not the header's, which holds 8 GiB at most.
func TestPAXSize(t *testing.T) {
	data := record("size", "2")
	checkLast(t, blocks(header("@", 'x', int64(len(data))), []byte(data), header("f", '0', 0), []byte("xy"), endOfArchive),
		"f 100644 0:0 0.000000000 2 bytes [{0 2}]")
}

// checkLast scans an archive and compares the start of the last line of its
// listing, or looks for want in the error.
func checkLast(t *testing.T, archive []byte, want string) {
	t.Helper()
	tree, err := scanBytes(archive)
	if err != nil {
		if strings.Contains(want, "control lists") && fault.HintOf(err) != "make the archive without --acls" {
			t.Errorf("hint %q", fault.HintOf(err))
		}
		if wantInputError(t, err, want); !strings.HasPrefix(err.Error(), "x.tar: ") {
			t.Errorf("error %q does not name the archive", err)
		}
		return
	}
	lines := listing(t, tree)
	if got := lines[len(lines)-1]; !strings.HasPrefix(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

func TestPAXRecordFraming(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"8 uid=1\n":                       "",
		"8 uid=1\n8 gid=1\n":              "",
		"008 u=1\n":                       "",
		"6 k=v\n":                         "",
		"5 k=\n":                          "",
		"8 uid=1":                         `PAX record: bad length "8"`,
		"7 uid=1\n":                       "bad length",
		"9 uid=1\n":                       "bad length",
		"8 uid=1 ":                        "bad length",
		"4 k=\n":                          "bad length",
		"4 k\n":                           "bad length",
		"-8 uid=1\n":                      "bad length",
		"x":                               "bad length",
		"99999999999 k=v\n":               "bad length",
		"00000000000000000030xk=vvvvvv\n": "bad length",
		"6 kvv\n":                         `PAX record "kvv": no key`,
		"6 =vv\n":                         `PAX record "": no key`,
		"8 uid=1\n\x00":                   "bad length",
	} {
		err := new(paxRecords).parse([]byte(in))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("parse(%q): error %v; want %q", in, err, want)
		}
	}
}
