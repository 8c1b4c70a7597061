package initramfs

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// hello is what xz -9 makes of "xz says hello\n".
const hello = "/Td6WFoAAATm1rRGAgAhARwAAAAQz1jMAQANeHogc2F5cyBoZWxsbwoAAAAaO9kawNFn9wABJg4IG+AEH7bzfQEAAAAABFla"

func TestDecompress(t *testing.T) {
	xz, err := base64.StdEncoding.DecodeString(hello)
	if err != nil {
		t.Fatal(err)
	}
	broken := append([]byte(nil), xz...)
	broken[30] ^= 1
	tests := []struct {
		name       string
		in         []byte
		suffix     string
		want, fail string
	}{
		{"plain", []byte("plain"), ".ko", "plain", ""},
		{"xz", xz, ".xz", "xz says hello\n", ""},
		{"zst", zst(t, []byte("data")), ".zst", "data", ""},
		{"gz", gz(t, []byte("data")), ".gz", "data", ""},
		{"xz with a flipped bit", broken, ".xz", "", "xz: "},
		{"xz cut off", xz[:40], ".xz", "", "xz: "},
		{"not gz", []byte("text"), ".gz", "", "gzip: "},
		{"gz cut off", gz(t, []byte("data"))[:15], ".gz", "", "gzip: unexpected EOF"},
		{"not zst", []byte("text"), ".zst", "", "zstd: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decompress(tt.in, tt.suffix)
			if tt.fail != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.fail) {
					t.Errorf("decompress: %v; want %q", err, tt.fail)
				}
			} else if string(got) != tt.want || err != nil {
				t.Errorf("decompress = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestReadAllLimit(t *testing.T) {
	for size, ok := range map[int]bool{99: true, 100: true, 101: false} {
		got, err := readAll(strings.NewReader(strings.Repeat("x", size)), 7, 100, "xz")
		if ok != (err == nil) || ok && len(got) != size {
			t.Errorf("readAll of %d bytes with a limit of 100: %d bytes, %v", size, len(got), err)
		}
	}
}

func TestReadEntry(t *testing.T) {
	tree := fstree.New()
	file := put(t, tree, "a/file", []byte("text"))
	hole := put(t, tree, "a/hole", nil)
	hole.Size, hole.Content = 3, nil
	short := put(t, tree, "a/short", []byte("text"))
	short.Size = 5
	tests := []struct {
		name  string
		in    *fstree.Entry
		limit int64
		want  string
		err   string
	}{
		{"file", file, 5, "text", ""},
		{"at the limit", file, 4, "text", ""},
		{"above the limit", file, 3, "", "4 bytes, expected at most 3"},
		{"hole", hole, 3, "\x00\x00\x00", ""},
		{"nothing", nil, 3, "", "does not exist"},
		{"directory", file.Parent(), 3, "", "is a directory, expected a regular file"},
		{"shorter than it was", short, 9, "", "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readEntry(tt.in, tt.limit)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("readEntry: %v; want %q", err, tt.err)
				}
			} else if string(got) != tt.want || err != nil {
				t.Errorf("readEntry = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestBuildInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, params(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("Build: %v; want %v", err, context.Canceled)
	}
}
