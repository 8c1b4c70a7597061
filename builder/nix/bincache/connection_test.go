package bincache

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/nix"
)

// TestAbsentKeepsConnection: that a cache does not have an object takes no connection of
// its own.
func TestAbsentKeepsConnection(t *testing.T) {
	s := httptest.NewUnstartedServer(http.FileServer(http.Dir(golden)))
	var made atomic.Int32
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c, err := Open(t.Context(), s.URL, quick())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		c.Info(t.Context(), nix.StorePath{Hash: fmt.Sprintf("%032d", n), Name: "x"})
	}
	if made.Load() > 2 {
		t.Errorf("%d connections", made.Load())
	}
}

// TestBreaksAtTheEndUnknown: a connection that breaks behind the last byte has given all, also where nobody says how long the archive is.
func TestBreaksAtTheEndUnknown(t *testing.T) {
	var asked int
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".nar.zst") {
			return false
		}
		if asked++; asked > 1 {
			return false // 416 of net/http
		}
		data, err := os.ReadFile(golden + r.URL.Path)
		if err != nil {
			t.Error(err)
		}
		w.Write(data)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	c, err := Open(t.Context(), s.URL, quick())
	if err != nil {
		t.Fatal(err)
	}
	info, _, err := c.Info(t.Context(), toplevel(t))
	if err != nil {
		t.Fatal(err)
	}
	info.FileSize = 0
	r, err := c.Archive(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil || sha256.Sum256(data) != *info.FileHash {
		t.Errorf("%d bytes: %v", len(data), err)
	}
}
