package bincache

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Connections is how many a server gets at a time.
const Connections = 16

// maxPause is the longest pause before another attempt.
const maxPause = time.Minute

// maxExcuse is how much is read of an answer that is an error, in bytes.
const maxExcuse = 16 << 10

// server is a cache by HTTP.
type server struct {
	base           *url.URL // its path ends in a slash
	client         *http.Client
	login          credentials // zero for none
	attempts       int
	pause, stalled time.Duration
	retry          func(error)
	failures       atomic.Int32 // requests in a row that were given up
}

// tooMany is how many requests are given up in a row until a server is not asked any
// more.
const tooMany = 3

func newServer(u *url.URL, o Options) (*server, error) {
	base := *u
	// Its escapes stay: some servers have a slash in the name of a project.
	base.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + "/"
	var err error
	if base.Path, err = url.PathUnescape(base.RawPath); err != nil {
		return nil, fault.New(fault.Config, hintURL, "cache %q: %w", u, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = Connections, Connections
	transport.DisableCompression = true // what is asked for has a digest as it is
	s := &server{
		base: &base, client: &http.Client{Transport: transport, CheckRedirect: safeRedirect},
		attempts: cmp.Or(o.Attempts, 5), pause: cmp.Or(o.Pause, 250*time.Millisecond), stalled: cmp.Or(o.Stalled, time.Minute), retry: o.Retry,
	}
	if s.retry == nil {
		s.retry = func(error) {}
	}
	if o.Netrc == "" {
		return s, nil
	}
	s.login, err = readNetrc(o.Netrc, u.Hostname())
	return s, err
}

var errRedirected = errors.New("is redirected")

// safeRedirect follows up to ten redirections, and none from https to less.
func safeRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return fmt.Errorf("%w: more than 10 times", errRedirected)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w to %s, which is not encrypted", errRedirected, req.URL.Redacted())
	}
	return nil
}

func (*server) path(string) string { return "" }

// url returns the URL of a file. The names of archives are already escaped.
func (s *server) url(name string) string { return s.base.String() + name }

func (s *server) read(ctx context.Context, name string, most int64) (data []byte, err error) {
	err = s.again(ctx, func() error {
		r, err := s.request(ctx, name, 0, "")
		if err != nil {
			return err
		}
		defer r.Close()
		data, err = r.text(most)
		if err != nil && r.failed != nil {
			return passing{err}
		}
		return err
	})
	return data, err
}

func (s *server) open(ctx context.Context, name string, size int64) (io.ReadCloser, error) {
	b := &body{server: s, ctx: ctx, name: name, size: size}
	if err := s.again(ctx, b.connect); err != nil {
		return nil, err
	}
	return b, nil
}

// passing is an error that may not come again.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

// pausing is passing, after a time that the server named.
type pausing struct {
	error
	pause time.Duration
}

func (p pausing) Unwrap() error { return p.error }

// again does something until it succeeds or fails for good.
func (s *server) again(ctx context.Context, do func() error) error {
	if n := s.failures.Load(); n >= tooMany {
		return fault.New(fault.Input, "", "%s: is not asked any more, after %d requests that failed", s.base.Redacted(), n)
	}
	pause := s.pause
	for attempt := 1; ; attempt++ {
		err := do()
		wait := pause
		var named pausing
		var pass passing
		switch {
		case err == nil:
			s.failures.Store(0)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &named):
			wait = max(wait, named.pause)
		case !errors.As(err, &pass):
			return err
		}
		if attempt >= s.attempts {
			s.failures.Add(1)
			return s.gaveUp(err, attempt)
		}
		s.retry(err)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		pause *= 2
	}
}

func (*server) gaveUp(err error, attempts int) error {
	return fault.New(fault.Input, "try again later, or name another cache", "%w, at %d attempts", err, attempts)
}

// sleep waits, at most maxPause.
func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(min(pause, maxPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// request asks for a file from a byte on. Tag, when not "", is what the server
// called the content before: another one is sent from its start.
func (s *server) request(ctx context.Context, name string, from int64, tag string) (*response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(name), nil)
	if err != nil {
		cancel(nil)
		return nil, fault.New(fault.Input, "", "%s: %w", name, err)
	}
	if s.login != (credentials{}) {
		req.SetBasicAuth(s.login.login, s.login.password)
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		if tag != "" {
			req.Header.Set("If-Range", tag)
		}
	}
	r := &response{cancel: cancel, ctx: ctx, stalled: s.stalled, name: s.url(name)}
	r.watch = time.AfterFunc(s.stalled, func() { cancel(errStalled) })
	r.Response, err = s.client.Do(req)
	if err != nil {
		err = r.explain(err)
		r.Close()
		return nil, err
	}
	if err := r.check(from); err != nil {
		_, _ = io.CopyN(io.Discard, r, maxExcuse) // so that the connection serves the next request
		r.Close()
		return nil, err
	}
	return r, nil
}

var errStalled = errors.New("nothing came")

// response is an answer under way, which ends when nothing comes of it.
type response struct {
	*http.Response // nil until it began
	ctx            context.Context
	cancel         context.CancelCauseFunc
	watch          *time.Timer
	stalled        time.Duration
	name           string
	failed         error // of Read, other than the end
}

// Read implements io.Reader.
func (r *response) Read(p []byte) (int, error) {
	r.watch.Reset(r.stalled)
	n, err := r.Body.Read(p)
	r.watch.Stop()
	if err != nil && err != io.EOF {
		err = r.explain(err)
		r.failed = err
	}
	return n, err
}

// Close implements io.Closer.
func (r *response) Close() error {
	r.watch.Stop()
	r.cancel(nil)
	if r.Response == nil {
		return nil
	}
	return r.Body.Close()
}

// explain says of an error of the network what it is, and whether it may pass.
func (r *response) explain(err error) error {
	var dns *net.DNSError
	switch cause := context.Cause(r.ctx); {
	case cause == errStalled:
		return passing{fault.New(fault.Input, "", "%s: %w for %v", r.name, cause, r.stalled)}
	case cause != nil:
		return cause
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.New(fault.Input, "is the name right, and is there a network?", "%s: host %s: %w", r.name, dns.Name, errors.New(dns.Err))
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // it has the URL, too
	}
	var certificate *tls.CertificateVerificationError
	explained := fault.New(fault.Input, "", "%s: %w", r.name, err)
	if errors.Is(err, errRedirected) || errors.As(err, &certificate) {
		return explained
	}
	return passing{explained}
}

// check turns a status that is no success into an error.
func (r *response) check(from int64) error {
	err := fault.New(fault.Input, "", "%s: %s", r.name, r.Status)
	switch code := r.StatusCode; {
	case code == http.StatusOK, code == http.StatusPartialContent && from > 0:
		return nil
	case code == http.StatusRequestedRangeNotSatisfiable && from > 0 && r.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", from):
		return nil // all of it was read: see place
	case code == http.StatusNotFound, code == http.StatusGone:
		return fault.New(fault.Input, "", "%s: %w", r.name, ErrAbsent)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		// Some stores of objects say so of what is not there.
		return fault.New(fault.Input, "put its name and password into a netrc file", "%s: %s: %w", r.name, r.Status, ErrAbsent)
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(r.Header.Get("Retry-After")) // or a date, which is not followed
		return pausing{err, time.Duration(max(0, min(seconds, 60))) * time.Second}
	case code == http.StatusRequestTimeout, code == http.StatusRequestedRangeNotSatisfiable, code >= 500 && code != http.StatusNotImplemented:
		return passing{err}
	}
	return err
}
