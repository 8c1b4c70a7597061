package bincache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
)

const golden = "../testdata/golden/cache-zstd"

// fileURL returns the URL of the golden cache in a folder.
func fileURL(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(golden)
	if err != nil {
		t.Fatal(err)
	}
	return "file://" + dir
}

func toplevel(t *testing.T) nix.StorePath {
	t.Helper()
	text, err := os.ReadFile(golden + "/../toplevel")
	if err != nil {
		t.Fatal(err)
	}
	p, err := nix.ParseStorePath(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// quick are options for servers that misbehave.
func quick() Options { return Options{Attempts: 3, Pause: time.Millisecond} }

// serve serves the golden cache through a handler that may do otherwise first; it
// reports whether it did.
func serve(t *testing.T, odd func(w http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	files := http.FileServer(http.Dir(golden))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if odd == nil || !odd(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// fetch opens a cache, and returns the archive of the toplevel.
func fetch(ctx context.Context, t *testing.T, url string, o Options) ([]byte, *narinfo.Info, error) {
	t.Helper()
	c, err := Open(ctx, url, o)
	if err != nil {
		return nil, nil, err
	}
	info, _, err := c.Info(ctx, toplevel(t))
	if err != nil {
		return nil, nil, err
	}
	r, err := c.Archive(ctx, info)
	if err != nil {
		return nil, info, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return data, info, err
}

func TestFetch(t *testing.T) {
	for _, url := range []string{fileURL(t), fileURL(t) + "/?priority=3", fileURL(t) + "?secret-keys=a,b&narinfo-compression=gzip&ls-compression=gzip&log-compression=br", serve(t, nil).URL, serve(t, nil).URL + "/?trusted=1&priority=7"} {
		data, info, err := fetch(t.Context(), t, url, Options{})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if sum := sha256.Sum256(data); sum != *info.FileHash || int64(len(data)) != info.FileSize {
			t.Errorf("%s: %d bytes that are not the archive", url, len(data))
		}
	}
}

func TestOpen(t *testing.T) {
	c, err := Open(t.Context(), fileURL(t)+"?priority=3&trusted=true", Options{})
	if err != nil || c.Priority != 3 || !c.Trusted {
		t.Fatalf("%+v, %v", c, err)
	}
	info, text, err := c.Info(t.Context(), toplevel(t))
	if err != nil || !strings.Contains(string(text), info.Path.String()) || c.File(info) != filepath.Join(strings.TrimPrefix(fileURL(t), "file://"), info.URL) {
		t.Errorf("%+v, %v", info, err)
	}
	if c, err = Open(t.Context(), serve(t, nil).URL, Options{}); err != nil || c.Priority != 0 || c.Trusted || c.File(info) != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, _, err := c.Info(t.Context(), nix.StorePath{Hash: strings.Repeat("0", 32), Name: "x"}); !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "/nix/store/00000000000000000000000000000000-x: http://") {
		t.Errorf("what is not there: %v", err)
	}
	other := toplevel(t)
	other.Name = "other"
	if _, _, err := c.Info(t.Context(), other); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "is about "+toplevel(t).String()) {
		t.Errorf("another name: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	empty := t.TempDir()
	tests := []struct {
		url   string
		class fault.Class
		want  string
	}{
		{"", fault.Config, `scheme ""`},
		{"cache.nixos.org", fault.Config, `scheme ""`},
		{"s3://bucket", fault.Config, `scheme "s3": expected file, http or https`},
		{"file://host/x", fault.Config, "three slashes"},
		{"file:x", fault.Config, "three slashes"},
		{"http:///x", fault.Config, "names no host"},
		{"https://me:secret@host", fault.Config, "me:xxxxx@host"},
		{"https://host#x", fault.Config, "fragment"},
		{"https://me:secret@host?prority=1", fault.Config, "me:xxxxx@host"},
		{"https://me:secret@host:port", fault.Config, "is no URL: invalid port"},
		{"http://host\x7f", fault.Config, "invalid control character"},
		{"file://" + empty + "?prority=1", fault.Config, `unknown parameter "prority"; did you mean priority?`},
		{"file://" + empty + "?priority=-1", fault.Config, `priority "-1"`},
		{"file://" + empty + "?priority=x", fault.Config, `priority "x"`},
		{"file://" + empty + "?trusted=perhaps", fault.Config, `trusted "perhaps"`},
		{"file://" + empty, fault.Input, empty + "/nix-cache-info: is not in the cache"},
		{serve(t, nil).URL + "/nar", fault.Input, "/nar/nix-cache-info: is not in the cache"},
	}
	for _, tt := range tests {
		_, err := Open(t.Context(), tt.url, quick())
		if fault.ClassOf(err) != tt.class || !strings.Contains(fmt.Sprint(err), tt.want) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%q: %v; want class %d with %q", tt.url, err, tt.class, tt.want)
		}
	}
}
