package bincache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestPassing: what fails in a way that may pass is asked for again, and nothing else is.
func TestPassing(t *testing.T) {
	tests := []struct {
		status, fails, asked int
		want                 string // "" when it succeeds
	}{
		{503, 2, 3, ""}, {500, 2, 3, ""}, {502, 1, 2, ""}, {408, 1, 2, ""}, {429, 2, 3, ""},
		{503, 3, 3, "503 Service Unavailable, at 3 attempts"},
		{404, 3, 1, "is not in the cache"}, {410, 3, 1, "is not in the cache"},
		{401, 3, 1, "401 Unauthorized"}, {403, 3, 1, "403 Forbidden"}, {400, 3, 1, "400 Bad Request"}, {501, 3, 1, "501 Not Implemented"},
		{206, 3, 1, "206 Partial Content"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status, tt.fails), func(t *testing.T) {
			var asked atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, ".nar.zst") || int(asked.Add(1)) > tt.fails {
					return false
				}
				w.WriteHeader(tt.status)
				return true
			})
			var retries int
			o := quick()
			o.Retry = func(error) { retries++ }
			_, info, err := fetch(t.Context(), t, s.URL, o)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), info.Path.String())) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
			if int(asked.Load()) != tt.asked || retries != tt.asked-1 {
				t.Errorf("asked %d times, told of %d; want %d", asked.Load(), retries, tt.asked)
			}
		})
	}
}

// cut sends a file up to a byte, and breaks the connection.
func cut(w http.ResponseWriter, name string, at int) {
	data, err := os.ReadFile(golden + name)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.Write(data[:at])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// TestBreaks: an archive that breaks off goes on where it broke, with a server that
// can do so and with one that cannot.
func TestBreaks(t *testing.T) {
	for name, ranges := range map[string]bool{"ranges": true, "no ranges": false} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, ".nar.zst") {
					return false
				}
				asked = append(asked, r.Header.Get("Range"))
				if len(asked) == 1 {
					cut(w, r.URL.Path, 100)
				}
				if !ranges {
					r.Header.Del("Range")
				}
				return false
			})
			data, info, err := fetch(t.Context(), t, s.URL, quick())
			if err != nil || sha256.Sum256(data) != *info.FileHash {
				t.Errorf("%d bytes, %v", len(data), err)
			}
			if want := []string{"", "bytes=100-"}; fmt.Sprint(asked) != fmt.Sprint(want) {
				t.Errorf("asked for %q; want %q", asked, want)
			}
		})
	}
}

// TestBreaksForGood: an archive that always breaks at the same byte ends.
func TestBreaksForGood(t *testing.T) {
	var asked int
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".nar.zst") {
			return false
		}
		asked++
		if asked == 1 {
			cut(w, r.URL.Path, 100)
		}
		w.Header().Set("Content-Range", "bytes 100-199/200")
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(206)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	data, info, err := fetch(t.Context(), t, s.URL, quick())
	if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "at 3 attempts") || !strings.Contains(err.Error(), info.URL) || len(data) != 100 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if asked != 1+2 {
		t.Errorf("asked %d times; want 3", asked)
	}
}

// TestBreaksAtTheEnd: a connection that breaks behind the last byte has given all.
func TestBreaksAtTheEnd(t *testing.T) {
	var asked int
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".nar.zst") {
			return false
		}
		asked++
		data, err := os.ReadFile(golden + r.URL.Path)
		if err != nil {
			t.Error(err)
		}
		w.Write(data)
		w.(http.Flusher).Flush() // in chunks, of which the last never comes
		panic(http.ErrAbortHandler)
	})
	data, info, err := fetch(t.Context(), t, s.URL, quick())
	if err != nil || sha256.Sum256(data) != *info.FileHash || asked != 1 {
		t.Errorf("%d bytes, asked %d times: %v", len(data), asked, err)
	}
}

// TestWrongRange: an answer that is about other bytes is an error.
func TestWrongRange(t *testing.T) {
	var asked int
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".nar.zst") {
			return false
		}
		if asked++; asked == 1 {
			cut(w, r.URL.Path, 100)
		}
		w.Header().Set("Content-Range", "bytes 0-199/200")
		w.WriteHeader(206)
		return true
	})
	if _, _, err := fetch(t.Context(), t, s.URL, quick()); err == nil || !strings.Contains(err.Error(), `Content-Range "bytes 0-199/200", expected "bytes 100-"`) {
		t.Errorf("error %v", err)
	}
}

// TestShort: an archive that ends well, but too early, is asked for again.
func TestShort(t *testing.T) {
	var asked int
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".nar.zst") {
			return false
		}
		if asked++; asked == 1 {
			w.Write([]byte{})
			return true
		}
		return false
	})
	data, info, err := fetch(t.Context(), t, s.URL, quick())
	if err != nil || sha256.Sum256(data) != *info.FileHash {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// TestStalled: a server of which nothing comes counts as failed, before the answer and
// within it.
func TestStalled(t *testing.T) {
	for _, begun := range []bool{false, true} {
		t.Run(fmt.Sprint(begun), func(t *testing.T) {
			var asked atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, ".nar.zst") || asked.Add(1) > 1 {
					return false
				}
				if begun {
					w.Header().Set("Content-Length", "1000")
					w.WriteHeader(200)
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done() // the client gives up
				return true
			})
			o := quick()
			o.Stalled = 200 * time.Millisecond
			var told []error
			o.Retry = func(err error) { told = append(told, err) }
			data, info, err := fetch(t.Context(), t, s.URL, o)
			if err != nil || sha256.Sum256(data) != *info.FileHash {
				t.Errorf("%d bytes, %v", len(data), err)
			}
			if len(told) != 1 || !strings.Contains(told[0].Error(), "nothing came for 200ms") {
				t.Errorf("told %v", told)
			}
		})
	}
}

// TestCancelled: a cancelled context ends at once, with its cause.
func TestCancelled(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".nar.zst") {
			return false
		}
		cancel(cause)
		<-r.Context().Done()
		return true
	})
	if _, _, err := fetch(ctx, t, s.URL, Options{}); !errors.Is(err, cause) {
		t.Errorf("error %v; want %v", err, cause)
	}
}

func TestNetrc(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if user, pass, _ := r.BasicAuth(); user != "me" || pass != "secret" {
			w.WriteHeader(401)
			return true
		}
		return false
	})
	write := func(text string) Options {
		name := filepath.Join(t.TempDir(), "netrc")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := quick()
		o.Netrc = name
		return o
	}
	if _, _, err := fetch(t.Context(), t, s.URL, write("machine other login x password y\nmachine 127.0.0.1\n  login me\n  password secret\n")); err != nil {
		t.Errorf("right: %v", err)
	}
	for name, o := range map[string]Options{"none": quick(), "wrong": write("machine 127.0.0.1 login me password wrong"), "other": write("machine other login me password secret")} {
		if _, err := Open(t.Context(), s.URL, o); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "401") || !strings.Contains(fault.HintOf(err), "netrc") || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := quick()
	o.Netrc = "/absent"
	if _, err := Open(t.Context(), s.URL, o); fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), "/absent") {
		t.Errorf("no file: %v", err)
	}
}

func TestRedirect(t *testing.T) {
	plain := serve(t, nil)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusFound)
		return true
	})
	if _, _, err := fetch(t.Context(), t, s.URL, quick()); err != nil {
		t.Errorf("to another server: %v", err)
	}
	loop := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	})
	if _, err := Open(t.Context(), loop.URL, quick()); err == nil || !strings.Contains(err.Error(), "is redirected: more than 10 times") {
		t.Errorf("for ever: %v", err)
	}
	via := []*http.Request{httptest.NewRequest("GET", "https://a/", nil)}
	if err := safeRedirect(httptest.NewRequest("GET", "http://b/", nil), via); err == nil || !strings.Contains(err.Error(), "not encrypted") {
		t.Errorf("from https to http: %v", err)
	}
	if err := safeRedirect(httptest.NewRequest("GET", "https://b/", nil), via); err != nil {
		t.Errorf("from https to https: %v", err)
	}
}

// TestTooLarge: what is said of an object is read up to a size.
func TestTooLarge(t *testing.T) {
	for extra, ok := range map[int]bool{-1: true, 0: true, 1: false} {
		text, err := readAll(strings.NewReader(strings.Repeat("x", 100+extra)), "name", 100)
		if (err == nil) != ok || ok && len(text) != 100+extra {
			t.Errorf("%d bytes: %v", 100+extra, err)
		}
	}
}

// TestGivenUp: a server that fails again and again is not asked any more.
func TestGivenUp(t *testing.T) {
	var asked atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".narinfo") {
			return false
		}
		asked.Add(1)
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	c, err := Open(t.Context(), s.URL, quick())
	if err != nil {
		t.Fatal(err)
	}
	for range tooMany - 1 {
		if _, _, err := c.Info(t.Context(), toplevel(t)); err == nil {
			t.Error("no error")
		}
	}
	if _, err := c.files.read(t.Context(), infoName, 1<<20); err != nil { // all is well again
		t.Fatal(err)
	}
	asked.Store(0)
	for n := range tooMany + 2 {
		_, _, err := c.Info(t.Context(), toplevel(t))
		if over := n >= tooMany; err == nil || strings.Contains(err.Error(), "is not asked any more") != over {
			t.Errorf("request %d: %v", n+1, err)
		}
	}
	if n := asked.Load(); n != 3*tooMany {
		t.Errorf("asked %d times; want %d", n, 3*tooMany)
	}
}

// TestCertificate: a server that is not who it says is not asked again.
func TestCertificate(t *testing.T) {
	s := httptest.NewTLSServer(http.FileServer(http.Dir(golden)))
	defer s.Close()
	s.Config.ErrorLog = nil
	o := quick()
	o.Retry = func(err error) { t.Errorf("asked again: %v", err) }
	if _, err := Open(t.Context(), s.URL, o); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
}
