package unpack

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Opener opens many files, each with the memory of one that was closed: a window has
// several MiB, and to make one for each small file costs more than to unpack it. The
// zero value is ready. It may be used from several goroutines; a file is unpacked by the
// one that reads it, and nothing ahead of it.
type Opener struct {
	zstd, xz sync.Pool
}

// Open is Format.Open. The reader must not be used once it is closed.
func (o *Opener) Open(f *Format, r io.Reader) (io.ReadCloser, error) {
	var d io.ReadCloser
	var err error
	switch f.Name {
	case "zstd":
		d, err = o.openZstd(r)
	case "xz":
		d, err = o.openXZ(r)
	default:
		return f.Open(r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return &reader{d, f.Name}, nil
}

func (o *Opener) openZstd(r io.Reader) (io.ReadCloser, error) {
	d, _ := o.zstd.Get().(*zstd.Decoder)
	if d == nil {
		var err error
		// Only without goroutines of its own a decoder keeps its window.
		if d, err = zstd.NewReader(nil, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1)); err != nil {
			return nil, err
		}
	}
	if err := d.Reset(r); err != nil {
		return nil, err
	}
	return &pooled{d, func() {
		if d.Reset(nil) == nil { // so that it does not hold r
			o.zstd.Put(d)
		}
	}}, nil
}

func (o *Opener) openXZ(r io.Reader) (io.ReadCloser, error) {
	d, _ := o.xz.Get().(*xz.Reader)
	var err error
	if d == nil {
		d, err = xz.NewReader(r, maxWindow)
	} else {
		err = d.Reset(r)
	}
	if err != nil {
		return nil, err
	}
	return &pooled{d, func() { o.xz.Put(d) }}, nil
}

// pooled is a decompressor that goes back to a pool when it is closed.
type pooled struct {
	io.Reader
	free func()
}

// Close implements io.Closer. Closing it once more does nothing.
func (p *pooled) Close() error {
	if p.free != nil {
		p.free()
		p.Reader, p.free = nil, nil
	}
	return nil
}
