package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// packet makes an answer to the question with a number.
func packet(number []byte, received, sent time.Time) []byte {
	b := make([]byte, size)
	b[0], b[1] = version<<3|modeServer, 2
	copy(b[atOriginate:], number)
	put(b[atReceive:], received)
	put(b[atTransmit:], sent)
	return b
}

func put(b []byte, t time.Time) {
	ns := t.Sub(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)) + 2208988800*time.Second
	binary.BigEndian.PutUint32(b, uint32(ns/time.Second))
	binary.BigEndian.PutUint32(b[4:], uint32((int64(ns%time.Second)<<32+int64(time.Second)-1)/int64(time.Second)))
}

var (
	number = []byte("question")
	then   = time.Date(2026, 11, 30, 12, 0, 0, 500_000_000, time.UTC)
)

func TestDecode(t *testing.T) {
	tests := []struct {
		name   string
		change func(b []byte) []byte
		err    string
	}{
		{"good", func(b []byte) []byte { return b }, ""},
		{"longer", func(b []byte) []byte { return append(b, 0) }, ""},
		{"shorter", func(b []byte) []byte { return b[:size-1] }, errForeign.Error()},
		{"empty", func(b []byte) []byte { return nil }, errForeign.Error()},
		{"another question", func(b []byte) []byte { b[atOriginate]++; return b }, errForeign.Error()},
		{"of a client", func(b []byte) []byte { b[0] = version<<3 | modeClient; return b }, "mode 3, expected 4"},
		{"refused", func(b []byte) []byte { b[1] = 0; copy(b[12:], "RATE"); return b }, `refuses to answer: "RATE"`},
		{"stratum 15", func(b []byte) []byte { b[1] = 15; return b }, ""},
		{"stratum 16", func(b []byte) []byte { b[1] = 16; return b }, "has no time itself"},
		{"unsynchronised", func(b []byte) []byte { b[0] |= 3 << 6; return b }, "has no time itself"},
		{"sent before it was asked", func(b []byte) []byte { put(b[atReceive:], then.Add(time.Second)); return b }, "took -1s to answer"},
		{"slow", func(b []byte) []byte { put(b[atReceive:], then.Add(-maxDelay)); return b }, ""},
		{"too slow", func(b []byte) []byte { put(b[atReceive:], then.Add(-maxDelay-time.Millisecond)); return b }, "to answer, expected 0 to 5s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent, _, err := decode(tt.change(packet(number, then, then)), number)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v; want %q", err, tt.err)
				}
				return
			}
			if err != nil || sent.Sub(then).Abs() > time.Microsecond {
				t.Errorf("sent %s, %v; want %s", sent, err, then)
			}
		})
	}
}

func TestTimeOf(t *testing.T) {
	for _, tt := range []struct {
		in   uint32
		want string
	}{
		{1 << 31, "1968-01-20T03:14:08Z"}, {2208988800, "1970-01-01T00:00:00Z"}, {1<<32 - 1, "2036-02-07T06:28:15Z"}, {0, "2036-02-07T06:28:16Z"}, {1<<31 - 1, "2104-02-26T09:42:23Z"},
	} {
		b := make([]byte, 8)
		binary.BigEndian.PutUint32(b, tt.in)
		if got := timeOf(b).UTC().Format(time.RFC3339); got != tt.want {
			t.Errorf("timeOf(%d) = %s; want %s", tt.in, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	made := then
	for _, tt := range []struct {
		name   string
		now    time.Time
		behind time.Duration
		want   Verdict
	}{
		{"right", made.Add(time.Hour), 0, Right},
		{"a little behind", made.Add(time.Hour), tolerance, Right},
		{"behind", made.Add(time.Hour), tolerance + 1, Set},
		{"a little ahead", made.Add(time.Hour), -tolerance, Right},
		{"ahead", made.Add(time.Hour), -tolerance - 1, Ahead},
		{"a little behind, before the medium", made.Add(-time.Second), time.Second, Set},
		{"years behind", made.AddDate(-5, 0, 0), 6 * 365 * 24 * time.Hour, Set},
		{"the server is before the medium", made.Add(-time.Second), time.Second - 1, Absurd},
		{"the server is before the medium, and we are not", made.Add(time.Hour), -2 * time.Hour, Absurd},
	} {
		if got := Judge(tt.now, tt.behind, made); got != tt.want {
			t.Errorf("%s: %d; want %d", tt.name, got, tt.want)
		}
	}
}

func TestForwardOnly(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, 0} {
		if err := Forward(by); err == nil {
			t.Errorf("set by %s", by)
		}
	}
}

// server answers on a port of this machine with what answer makes of a question.
func server(t *testing.T, answer func(question []byte) [][]byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			for _, text := range answer(b[:n]) {
				_, _ = conn.WriteTo(text, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestAsk(t *testing.T) {
	for _, want := range []time.Duration{0, time.Hour, -time.Hour} {
		address := server(t, func(q []byte) [][]byte {
			now := time.Now().Add(want)
			made := packet(q[atTransmit:], now.Add(-2*time.Second), now)
			madeUp := packet(number, now.AddDate(1, 0, 0), now.AddDate(1, 0, 0))
			return [][]byte{madeUp, made[:10], made}
		})
		// The server says that it took longer than there was: half of that is how wrong it is.
		got, err := Ask(t.Context(), address)
		if err != nil || (got-want+time.Second).Abs() > 500*time.Millisecond {
			t.Errorf("behind by %s, %v; want %s", got, err, want-time.Second)
		}
	}
	refusing := server(t, func(q []byte) [][]byte {
		b := packet(q[atTransmit:], then, then)
		b[1] = 0
		return [][]byte{b}
	})
	if _, err := Ask(t.Context(), refusing); err == nil || !strings.HasPrefix(err.Error(), "server of time "+refusing+": refuses") {
		t.Errorf("refused: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	silent := server(t, func([]byte) [][]byte { cancel(); return nil })
	if _, err := Ask(ctx, silent); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(packet(number, then, then))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		sent, took, err := decode(b, number)
		if err == nil && (took < 0 || took > maxDelay || sent.Year() < 1968 || sent.Year() > 2104) {
			t.Errorf("sent %s, took %s", sent, took)
		}
	})
}
