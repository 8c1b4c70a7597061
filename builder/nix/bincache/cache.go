// Package bincache reads binary caches of Nix, in a folder of the host or by HTTP.
//
// What a cache says about an object is decoded, not trusted: signatures and
// digests are for the caller. A request that fails in a way that may pass is made
// again, and an archive that breaks off is fetched on from where it broke.
//
// What it does not do: it writes nothing, and it unpacks nothing.
package bincache

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// ErrAbsent is in the chain of the error of a file that a cache does not have.
var ErrAbsent = errors.New("is not in the cache")

// Options says how caches are asked. The zero value is what Open makes of it.
type Options struct {
	Netrc    string        // file with names and passwords; "" for none
	Attempts int           // of a request, the first among them; 0 means 5, as download-attempts of nix.conf
	Stalled  time.Duration // without a byte until a request counts as failed; 0 means a minute
	Pause    time.Duration // before the second attempt; each further one waits twice as long. 0 means 250 ms
	// Retry, when set, is told of each attempt that failed and will be made again.
	Retry func(err error)
}

// Cache is a binary cache.
type Cache struct {
	URL      string // as it was given
	Priority int    // caches of smaller numbers are asked first
	Trusted  bool   // its objects need no signature: trusted=1 was in the URL

	files files
}

// files are what a cache consists of.
type files interface {
	// read returns a file of at most so many bytes.
	read(ctx context.Context, name string, most int64) ([]byte, error)
	// open returns the content of a file; size is 0 where it is not known.
	open(ctx context.Context, name string, size int64) (io.ReadCloser, error)
	// path returns the name of a file on the host, "" where there is none.
	path(name string) string
}

const hintURL = "name a cache as file:///FOLDER or https://HOST"

// parameters are those that Nix has for caches. Those without a meaning for a
// reader are taken and passed over.
var parameters = []string{"priority", "trusted", "want-mass-query", "compression", "compression-level", "parallel-compression", "path-info-cache-size", "system-features", "store", "write-nar-listing", "index-debug-info", "secret-key", "secret-keys", "local-nar-cache", "narinfo-compression", "ls-compression", "log-compression"}

// Open opens the cache at a URL as nix.conf has it in substituters, and reads its
// nix-cache-info. What is wrong with the URL is an error of class fault.Config,
// all else of class fault.Input.
func Open(ctx context.Context, at string, o Options) (*Cache, error) {
	u, err := url.Parse(at)
	var bad *url.Error
	switch {
	case errors.As(err, &bad): // whose text has the URL, and so perhaps a password
		return nil, fault.New(fault.Config, hintURL, "cache: is no URL: %w", bad.Err)
	case err != nil:
		return nil, fault.New(fault.Config, hintURL, "cache: is no URL")
	case u.Fragment != "" || u.User != nil:
		return nil, fault.New(fault.Config, hintURL, "cache %q: has a fragment or a password, expected none; passwords go into a netrc file", u.Redacted())
	}
	c := &Cache{URL: at, Priority: -1}
	if err := c.parameters(u.Query()); err != nil {
		return nil, err
	}
	u.RawQuery, u.ForceQuery = "", false
	if c.files, err = filesOf(u, o); err != nil {
		return nil, err
	}
	text, err := c.files.read(ctx, infoName, narinfo.MaxSize)
	if err != nil {
		if errors.Is(err, ErrAbsent) {
			err = fault.New(fault.Input, cmp.Or(fault.HintOf(err), "is that a binary cache? "+hintURL), "cache %s: %w", at, err)
		}
		return nil, err
	}
	info, err := narinfo.ParseCacheInfo(c.Name(infoName), text)
	if err != nil {
		return nil, err
	}
	if c.Priority < 0 {
		c.Priority = info.Priority
	}
	return c, nil
}

// infoName is the file about a cache as a whole.
const infoName = "nix-cache-info"

func (c *Cache) parameters(query url.Values) error {
	for _, key := range slices.Sorted(maps.Keys(query)) {
		value := query.Get(key)
		switch {
		case !slices.Contains(parameters, key):
			return fault.New(fault.Config, "", "cache %q: unknown parameter %q%s", c.URL, key, strict.DidYouMean(key, parameters))
		case key == "priority":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return fault.New(fault.Config, "", "cache %q: priority %q: expected a number from 0 on", c.URL, value)
			}
			c.Priority = n
		case key == "trusted":
			trusted, ok := map[string]bool{"1": true, "true": true, "yes": true, "0": false, "false": false, "no": false}[value]
			if !ok {
				return fault.New(fault.Config, "", "cache %q: trusted %q: expected true or false", c.URL, value)
			}
			c.Trusted = trusted
		}
	}
	return nil
}

func filesOf(u *url.URL, o Options) (files, error) {
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return nil, fault.New(fault.Config, hintURL, "cache %q: expected three slashes and an absolute path", u)
		}
		return folder(filepath.Clean(u.Path)), nil
	case "http", "https":
		if u.Host == "" {
			return nil, fault.New(fault.Config, hintURL, "cache %q: names no host", u)
		}
		return newServer(u, o)
	}
	return nil, fault.New(fault.Config, hintURL, "cache %q: scheme %q: expected file, http or https", u, u.Scheme)
}

// Name names a file of the cache in messages.
func (c *Cache) Name(file string) string {
	base, _, _ := strings.Cut(c.URL, "?")
	return strings.TrimSuffix(base, "/") + "/" + file
}

// Info returns what the cache says about an object, and the text of it. That it
// does not have the object is ErrAbsent.
func (c *Cache) Info(ctx context.Context, p nix.StorePath) (*narinfo.Info, []byte, error) {
	file := p.Hash + ".narinfo"
	text, err := c.files.read(ctx, file, narinfo.MaxSize)
	if err != nil {
		return nil, nil, about(p, err)
	}
	info, err := narinfo.Parse(c.Name(file), text)
	if err != nil {
		return nil, nil, about(p, err)
	}
	if info.Path != p {
		return nil, nil, fault.New(fault.Input, "", "%s: %s is about %s", p, c.Name(file), info.Path)
	}
	return info, text, nil
}

// about names the object in an error.
func about(p nix.StorePath, err error) error {
	return fault.New(fault.ClassOf(err), fault.HintOf(err), "%s: %w", p, err)
}

// Archive returns the archive of an object as the cache stores it, compressed as
// info says. It is not checked.
func (c *Cache) Archive(ctx context.Context, info *narinfo.Info) (io.ReadCloser, error) {
	r, err := c.files.open(ctx, info.URL, info.FileSize)
	if err != nil {
		return nil, about(info.Path, err)
	}
	return r, nil
}

// File returns the name of the file on the host that is the archive of an object as
// the cache stores it, or "" when it is elsewhere.
func (c *Cache) File(info *narinfo.Info) string { return c.files.path(info.URL) }
