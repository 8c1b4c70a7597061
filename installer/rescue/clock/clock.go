// Package clock asks a server for the time, once, as SNTP does (RFC 4330), and sets the
// machine's clock by it. A laptop whose battery was empty has a clock of years ago, with
// which no certificate is valid and no backup is in order.
//
// It does not keep the clock right, and never sets it back: what has been written with a
// later time stays older than what is written next.
package clock

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Port is where servers are asked.
const Port = "123"

// Fields of a packet (RFC 4330, 4): the first byte, and where times are.
const (
	size        = 48
	version     = 4
	modeClient  = 3
	modeServer  = 4
	unsynced    = 3 // leap indicator of a server that has no time itself
	maxStratum  = 15
	atOriginate = 24
	atReceive   = 32
	atTransmit  = 40
)

// maxDelay is how long an answer may take; half of it is how wrong the time may be.
const maxDelay = 5 * time.Second

// Ask asks the server at an address such as "10.0.2.4:123" and returns how much the
// machine's clock is behind it; that is negative if it is ahead.
func Ask(ctx context.Context, address string) (behind time.Duration, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(maxDelay)); err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	// In the place of our own time there is a number that nobody else knows: it is in the
	// answer again, and tells that from one that somebody made up.
	ask := make([]byte, size)
	ask[0] = version<<3 | modeClient
	if _, err := rand.Read(ask[atTransmit:]); err != nil {
		return 0, err
	}
	sent := time.Now()
	if _, err := conn.Write(ask); err != nil {
		return 0, err
	}
	answer := make([]byte, size+1)
	for {
		n, err := conn.Read(answer)
		if err != nil {
			return 0, err
		}
		received := sent.Add(time.Since(sent)) // by the clock that nobody sets
		at, took, err := decode(answer[:n], ask[atTransmit:])
		if errors.Is(err, errForeign) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("server of time %s: %w", address, err)
		}
		return at.Add((received.Sub(sent) - took) / 2).Sub(received), nil
	}
}

// errForeign is for an answer to another question.
var errForeign = errors.New("answers another question")

// decode reads the answer to a question with a number: when it was sent, and how long
// after the question came.
func decode(b, number []byte) (sent time.Time, took time.Duration, err error) {
	if len(b) < size || string(b[atOriginate:atReceive]) != string(number) {
		return sent, 0, errForeign
	}
	leap, mode, stratum := b[0]>>6, b[0]&7, b[1]
	switch {
	case mode != modeServer:
		return sent, 0, fmt.Errorf("mode %d, expected %d", mode, modeServer)
	case stratum == 0:
		return sent, 0, fmt.Errorf("refuses to answer: %q", b[12:16])
	case leap == unsynced, stratum > maxStratum:
		return sent, 0, errors.New("has no time itself")
	}
	sent, received := timeOf(b[atTransmit:]), timeOf(b[atReceive:])
	if took = sent.Sub(received); took < 0 || took > maxDelay {
		return sent, 0, fmt.Errorf("took %s to answer, expected 0 to %s", took, maxDelay)
	}
	return sent, took, nil
}

// timeOf reads a time: seconds and their 32-bit fraction since 1900, or, without the
// first bit, since 2036 (RFC 4330, 3).
func timeOf(b []byte) time.Time {
	const since1900 = 2208988800 // seconds from 1900 to 1970
	seconds, fraction := int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))
	if seconds < 1<<31 {
		seconds += 1 << 32
	}
	return time.Unix(seconds-since1900, fraction*int64(time.Second)>>32)
}

// tolerance is how wrong a clock may be without harm.
const tolerance = 10 * time.Second

// Verdict is what becomes of a clock.
type Verdict int

// What becomes of a clock.
const (
	Right  Verdict = iota // it is left as it is
	Set                   // it is to be set
	Ahead                 // it is left, though it is ahead
	Absurd                // the server's time cannot be: it is before the medium was made
)

// Judge says what becomes of a clock at a time, which is behind by some time, on a medium
// that was made at another.
func Judge(now time.Time, behind time.Duration, made time.Time) Verdict {
	switch {
	case now.Add(behind).Before(made):
		return Absurd
	case behind > tolerance, behind > 0 && now.Before(made):
		return Set
	case behind < -tolerance:
		return Ahead
	}
	return Right
}

// Forward sets the machine's clock forward.
func Forward(by time.Duration) error {
	if by <= 0 {
		return fmt.Errorf("clock: to be set by %s, expected forward", by)
	}
	now := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return nil
}
