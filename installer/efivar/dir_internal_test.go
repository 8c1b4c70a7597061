package efivar

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteOnce(t *testing.T) {
	for _, tt := range []struct {
		name        string
		interrupted int // calls
		n           int // bytes that the next one writes
		then        error
		want        error
		calls       int
	}{
		{"at once", 0, 5, nil, nil, 1},
		{"short", 0, 4, nil, io.ErrShortWrite, 1},
		{"refused", 0, 0, unix.ENOSPC, unix.ENOSPC, 1},
		{"interrupted", 9, 5, nil, nil, 10},
		{"interrupted for ever", 10, 5, nil, unix.EINTR, 10},
	} {
		calls := 0
		err := writeOnce(func() (int, error) {
			if calls++; calls <= tt.interrupted {
				return -1, unix.EINTR
			}
			return tt.n, tt.then
		}, 5)
		if !errors.Is(err, tt.want) || calls != tt.calls {
			t.Errorf("%s: %v, %d calls; want %v, %d", tt.name, err, calls, tt.want, tt.calls)
		}
	}
}
