package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// fakeMmdebstrap puts a script of that name in front of PATH, which finds the
// sample archive in $archive.
func fakeMmdebstrap(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	archive := filepath.Join(dir, "archive")
	if err := os.WriteFile(archive, archiveOf(t, needed()), 0o644); err != nil {
		t.Fatal(err)
	}
	script = "#!/bin/sh\narchive='" + archive + "'\n" + script
	if err := os.WriteFile(filepath.Join(dir, "mmdebstrap"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func installFake(t *testing.T, ctx context.Context, w io.Writer) (record, string, error) {
	t.Helper()
	var log bytes.Buffer
	r := recipe{Suite: "trixie", Arch: "amd64", Epoch: 200}
	rec, err := r.install(ctx, "root", Mirrors{"http://m/debian", "http://s/debian-security"}, w, newWatcher(builder.Silent{}), &log, "/cache/x.log")
	return rec, log.String(), err
}

func TestInstall(t *testing.T) {
	fakeMmdebstrap(t, `echo "I: epoch $SOURCE_DATE_EPOCH, last argument ${10}" >&2; cat "$archive"`)
	var out bytes.Buffer
	rec, log, err := installFake(t, t.Context(), &out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(log, "I: epoch 200, ") {
		t.Errorf("log = %q", log)
	}
	sum, n, err := digest(t.Context(), &out, int64(out.Len()), builder.Silent{})
	if err != nil {
		t.Fatal(err)
	}
	want := record{Version: recordVersion, SHA256: sum, Size: n, Packages: []Package{{Name: "tzdata", Version: "2025b", Architecture: "all", SHA256: sumOf("c")}}}
	if d := cmp.Diff(want, rec); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
}

func TestInstallFails(t *testing.T) {
	tests := []struct{ name, script, want, hint string }{
		{"exit", "for i in 1 2 3; do echo line $i >&2; done; exit 3",
			"debian source: mmdebstrap: exit status 3; the whole log is /cache/x.log, its end:\n  line 1\n  line 2\n  line 3", ""},
		{"exit with an archive", `cat "$archive"; echo "E: Unable to locate package sudoo" >&2; exit 1`,
			"debian source: mmdebstrap: exit status 1; the whole log is /cache/x.log, its end:\n  E: Unable to locate package sudoo", "check the names of packages in the profile; only Debian's component main is used"},
		{"no archive", "exit 0", "debian source: archive: has no etc/apt/sources.list", ""},
		{"half an archive", `head -c 2000 "$archive"`, "debian source: archive: ./etc/apt/sources.list: unexpected EOF", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fakeMmdebstrap(t, tt.script)
			_, _, err := installFake(t, t.Context(), io.Discard)
			if tt.name == "half an archive" { // where it ends is the tar package's to say
				if err == nil || !strings.HasPrefix(err.Error(), "debian source: archive: ") {
					t.Errorf("error %v", err)
				}
				return
			}
			if errorText(err) != tt.want || fault.HintOf(err) != tt.hint {
				t.Errorf("error %q, hint %q; want %q, %q", errorText(err), fault.HintOf(err), tt.want, tt.hint)
			}
		})
	}
}

// TestInstallFullDisk tells of the failed write, not of what it does to
// mmdebstrap.
func TestInstallFullDisk(t *testing.T) {
	fakeMmdebstrap(t, `cat "$archive"; head -c 1000000 /dev/zero`)
	full := errors.New("no space left on device")
	_, _, err := installFake(t, t.Context(), writerFunc(func([]byte) (int, error) { return 0, full }))
	if !errors.Is(err, full) {
		t.Errorf("error %v; want %v", err, full)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestInstallStops asks mmdebstrap to clean up when the run is given up.
func TestInstallStops(t *testing.T) {
	fakeMmdebstrap(t, `trap 'echo cleaned >&2; exit 1' TERM; cat "$archive"; while :; do sleep 0.05; done`)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	var once bool
	_, log, err := installFake(t, ctx, writerFunc(func(p []byte) (int, error) {
		if !once {
			once = true
			cancel(stop)
		}
		return len(p), nil
	}))
	if !errors.Is(err, stop) {
		t.Errorf("error %v; want %v", err, stop)
	}
	if !strings.Contains(log, "cleaned") {
		t.Errorf("log = %q; want it to say that it cleaned up", log)
	}
}

func TestInstallHint(t *testing.T) {
	for _, said := range []string{"write: No space left on device", "E: Package 'x' has no installation candidate", "Could not resolve 'm'", "404  Not Found [IP: 1]", "NO_PUBKEY 123"} {
		if installHint([]string{"x", said, "y"}) == "" {
			t.Errorf("no hint for %q", said)
		}
	}
	if h := installHint([]string{"x"}); h != "" {
		t.Errorf("hint %q for nothing known", h)
	}
}
