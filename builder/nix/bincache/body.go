package bincache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// body is the content of a file by HTTP that goes on when the connection does not.
type body struct {
	*server
	ctx  context.Context
	name string
	size int64 // of the file, 0 where it is not known

	at   int64     // bytes that were read
	tag  string    // what the server calls the content; "" where it does not
	from *response // nil when it broke off

	brokeAt int64 // bytes that were read when breaks was 0
	breaks  int   // since then
}

// Read implements io.Reader. A file shorter than it should be has broken off.
func (b *body) Read(p []byte) (int, error) {
	for {
		if b.from == nil {
			if err := b.again(b.ctx, b.connect); err != nil {
				return 0, err
			}
		}
		n, err := b.from.Read(p)
		b.at += int64(n)
		switch {
		case err == nil:
			return n, nil
		case err == io.EOF && b.at >= b.size, b.size > 0 && b.at >= b.size:
			return n, io.EOF // what else goes wrong does not matter any more
		case b.ctx.Err() != nil:
			return n, context.Cause(b.ctx)
		case err == io.EOF:
			err = fault.New(fault.Input, "", "%s: ends after %d of %d bytes", b.url(b.name), b.at, b.size)
		}
		b.from.Close()
		b.from = nil
		if err := b.broke(err); err != nil || n > 0 {
			return n, err
		}
	}
}

// connect asks for what is still to come.
func (b *body) connect() error {
	r, err := b.request(b.ctx, b.name, b.at, b.tag)
	if err != nil {
		return err
	}
	if err := b.place(r); err != nil {
		r.Close()
		return err
	}
	b.from = r
	return nil
}

// place brings an answer to the byte that is wanted.
func (b *body) place(r *response) error {
	if b.at == 0 {
		if tag := r.Header.Get("ETag"); !strings.HasPrefix(tag, "W/") { // a weak one says too little
			b.tag = tag
		}
		return nil
	}
	if r.StatusCode == http.StatusPartialContent {
		if want := fmt.Sprintf("bytes %d-", b.at); !strings.HasPrefix(r.Header.Get("Content-Range"), want) {
			return fault.New(fault.Input, "", "%s: Content-Range %q, expected %q", b.url(b.name), r.Header.Get("Content-Range"), want)
		}
		return nil
	}
	if r.StatusCode == http.StatusRequestedRangeNotSatisfiable { // nothing is behind what was read
		r.Body.Close()
		r.Body = http.NoBody
		return nil
	}
	// It is sent from its start. Should it be another file, its digest tells.
	if _, err := io.CopyN(io.Discard, r, b.at); err != nil {
		return passing{err}
	}
	return nil
}

// enough is how many bytes make up for a connection that broke.
const enough = 1 << 20

// broke counts an end that came too early: there is another attempt as long as
// enough came since the last one, and a few more after that.
func (b *body) broke(err error) error {
	if b.at >= b.brokeAt+enough {
		b.breaks, b.brokeAt = 0, b.at
	}
	b.breaks++
	if b.breaks >= b.attempts {
		return b.gaveUp(err, b.breaks)
	}
	b.retry(err)
	if b.breaks == 1 {
		return nil
	}
	return sleep(b.ctx, b.pause<<(b.breaks-2))
}

// Close implements io.Closer.
func (b *body) Close() error {
	if b.from == nil {
		return nil
	}
	return b.from.Close()
}
