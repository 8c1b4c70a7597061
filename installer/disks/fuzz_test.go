package disks

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func FuzzVPD(f *testing.F) {
	for _, s := range []string{"", "\x00\x80\x00\x14      S3Z8NB0K123456", "\x00\x80\xff\xffx", "\x00\x83\x00\x01x", "\x00\x80\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		if got := vpdSerial(page); len(got) > len(page) || strings.Trim(got, " \x00") != got {
			t.Errorf("vpdSerial(%q) = %q", page, got)
		}
	})
}

func FuzzUdev(f *testing.F) {
	for _, s := range []string{"", "S:x\nE:ID_SERIAL_SHORT=a\\x20b\n", "E:ID_SERIAL_SHORT=\\x", "E:ID_SERIAL_SHORT=\\x2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := udevSerial(data); len(got) > len(data) {
			t.Errorf("udevSerial(%q) = %q", data, got)
		}
	})
}

func FuzzSwaps(f *testing.F) {
	for _, s := range []string{"", "Filename Type Size\n/dev/sda3 partition 8\n", "x\n/my\\040file file\n"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) { parseSwaps(text) })
}

// FuzzSignatures puts bytes at the beginning and at the end of a disk.
func FuzzSignatures(f *testing.F) {
	f.Add([]byte("\xeb\x58\x90mkfs.fat\x00\x02\x01\x20\x00\x02\x00\x00\x00\x00\xf8"), uint32(0), false)
	f.Add([]byte("EXFAT   "), uint32(3), false)
	f.Add([]byte("NTFS    \x00\x02\x08"), uint32(3), false)
	f.Add([]byte("LABELONE\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xffLVM2 001"), uint32(512), false)
	f.Add([]byte("_BHRfS_M"), uint32(65600), false)
	f.Add([]byte("CD001"), uint32(32769), false)
	f.Add([]byte("\xfc\x4e\x2b\xa9\x00\x00\x00\x00"), uint32(65536), true)
	f.Add([]byte("\x00\x00\x00\x00\x00\xba\xb1\x0c"), uint32(1024), true)
	f.Add([]byte("EFI PART"), uint32(512), false)
	f.Add([]byte("\x55\xaa"), uint32(510), false)
	f.Fuzz(func(t *testing.T, data []byte, at uint32, end bool) {
		image := make([]byte, 300<<10)
		at %= uint32(len(image))
		if end {
			at = uint32(len(image)) - at
		}
		copy(image[min(int(at), len(image)):], data)
		d := Disk{Name: "x", Size: int64(len(image)), SectorSize: 512}
		d.inspect(context.Background(), bytes.NewReader(image), nil)
		if d.Problem != "" {
			t.Errorf("problem %q with a disk that can be read", d.Problem)
		}
		if !d.Empty() != (len(d.Partitions) > 0 || len(d.Contents) > 0 || d.TableProblem != "" || d.Table == "mbr") {
			t.Errorf("empty %v: %+v", d.Empty(), d)
		}
		if len(bytes.Trim(data, "\x00")) > 0 && int(at)+len(bytes.TrimLeft(data, "\x00")) <= len(image) && d.Table == "" && len(d.Contents) == 0 {
			t.Errorf("a disk with data at %d has no content", at)
		}
		Judge(d, Wants{})
	})
}

func FuzzCapture(f *testing.F) {
	var b bytes.Buffer
	if err := WriteCapture(&b, []Disk{{Name: "sda", Contents: []Content{{Type: "btrfs"}}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"format":"mkimage-disks-1"}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ReadCapture(bytes.NewReader(data))
		if err != nil {
			return
		}
		if _, err := JudgeAll(list, Wants{Medium: Medium{Known: true}}); err != nil {
			t.Error(err)
		}
	})
}

func TestVPDSerial(t *testing.T) {
	for page, want := range map[string]string{
		"\x00\x80\x00\x04ABCDEF": "ABCD", "\x00\x80\x00\x06ABCDEF": "ABCDEF", "\x00\x80\x00\x07ABCDEF": "ABCDEF",
		"\x00\x80\x00\x06  AB\x00\x00": "AB", "\x00\x83\x00\x02AB": "", "\x00\x80\x00": "", "\x00\x80\x00\x00": "",
	} {
		if got := vpdSerial([]byte(page)); got != want {
			t.Errorf("vpdSerial(%q) = %q; want %q", page, got, want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{`a\x20b\x2f`: "a b/", `\x`: `\x`, `\x2`: `\x2`, `\xzz\x41`: `\xzzA`} {
		if got := unescapeHex(text); got != want {
			t.Errorf("unescapeHex(%q) = %q; want %q", text, got, want)
		}
	}
}
