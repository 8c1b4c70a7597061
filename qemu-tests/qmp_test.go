package qemutests

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}` + "\n"

// fakeQMP serves one connection: it greets, then answers each command with
// what reply returns.
func fakeQMP(t *testing.T, first string, reply func(command string) string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	go func() {
		defer server.Close()
		if _, err := io.WriteString(server, first); err != nil {
			return
		}
		lines := bufio.NewScanner(server)
		for lines.Scan() {
			var c struct{ Execute string }
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				t.Errorf("command %q: %v", lines.Text(), err)
				return
			}
			answer := reply(c.Execute)
			if answer == "" {
				return
			}
			if _, err := io.WriteString(server, answer); err != nil {
				return
			}
		}
	}()
	return client
}

func ok(command string) string { return `{"return": {}}` + "\n" }

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// mustQMP returns a client, and the log that its events go to.
func mustQMP(t *testing.T, conn io.ReadWriteCloser) (*qmp, *eventLog) {
	t.Helper()
	off := make(chan struct{})
	events := newEventLog(off)
	q, err := newQMP(soon(t), conn, events.record)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-q.gone
		close(off)
	}()
	t.Cleanup(func() { q.close() })
	return q, events
}

func TestQMPResult(t *testing.T) {
	// Events come before, within and after the lines of answers, and a line
	// may come in pieces or with another.
	q, events := mustQMP(t, fakeQMP(t, greeting, func(c string) string {
		if c == "qmp_capabilities" {
			return ok(c)
		}
		return `{"event": "RESET", "data": {"guest": true}}` + "\n" + `{"return": {"status": "paused"}}` + "\n" +
			`{"timestamp": {"seconds": 1}, "event": "STOP"}` + "\n"
	}))
	var got struct{ Status string }
	for range 2 {
		if err := q.execute(soon(t), "query-status", nil, &got); err != nil || got.Status != "paused" {
			t.Fatalf("query-status = %q, %v; want paused", got.Status, err)
		}
	}
	e, err := events.wait(soon(t), "STOP")
	if err != nil || e.Name != "STOP" {
		t.Fatalf("waitEvent = %+v, %v", e, err)
	}
	e, err = events.wait(soon(t), "SHUTDOWN", "RESET")
	if err != nil || string(e.Data) != `{"guest": true}` {
		t.Errorf("waitEvent = %+v, %v; want the second RESET", e, err)
	}
}

func TestQMPArguments(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	in := bufio.NewReader(server)
	got := make(chan string, 2)
	go func() {
		io.WriteString(server, greeting)
		for range 2 {
			line, _ := in.ReadString('\n')
			got <- line
			io.WriteString(server, ok(""))
		}
	}()
	q, _ := mustQMP(t, client)
	if err := q.execute(soon(t), "device_del", map[string]string{"id": "x"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"execute":"qmp_capabilities"}` + "\n",
		`{"execute":"device_del","arguments":{"id":"x"}}` + "\n",
	} {
		if line := <-got; line != want {
			t.Errorf("sent %q; want %q", line, want)
		}
	}
}

func TestQMPRefusal(t *testing.T) {
	q, _ := mustQMP(t, fakeQMP(t, greeting, func(c string) string {
		if c == "bad" {
			return `{"error": {"class": "GenericError", "desc": "no such thing"}}` + "\n"
		}
		return ok(c)
	}))
	err := q.execute(soon(t), "bad", nil, nil)
	var refused *CommandError
	if !errors.As(err, &refused) || refused.Error() != "QMP bad: no such thing" || refused.Class != "GenericError" {
		t.Errorf("bad: %v; want a CommandError", err)
	}
	if err := q.execute(soon(t), "good", nil, nil); err != nil {
		t.Errorf("a command after a refused one: %v", err)
	}
	var wrong struct{ Status string }
	if err := q.execute(soon(t), "good", nil, &[]int{}); err == nil {
		t.Errorf("a result of another type was taken: %+v", wrong)
	}
}

func TestQMPStart(t *testing.T) {
	for _, tt := range []struct{ name, first, want string }{
		{"no greeting", `{"return": {}}` + "\n", "no greeting"},
		{"no JSON", "HTTP/1.1 400\r\n", "invalid character"},
		{"closed", "", errGone.Error()},
		{"half a line", greeting[:20], "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server := net.Pipe()
			go func() {
				io.WriteString(server, tt.first)
				server.Close()
			}()
			_, err := newQMP(soon(t), client, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("newQMP: %v; want %q", err, tt.want)
			}
		})
	}
}

func TestQMPSilence(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := newQMP(ctx, client, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("newQMP: %v; want the deadline", err)
	}
}

// TestQMPLateAnswer gives up on a command, whose answer then comes: it must not
// become that of the next.
func TestQMPLateAnswer(t *testing.T) {
	release := make(chan struct{})
	q, _ := mustQMP(t, fakeQMP(t, greeting, func(c string) string {
		if c == "slow" {
			<-release
		}
		return fmt.Sprintf(`{"return": {"status": %q}}`+"\n", c)
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := q.execute(ctx, "slow", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("slow: %v; want the deadline", err)
	}
	close(release)
	var got struct{ Status string }
	if err := q.execute(soon(t), "quick", nil, &got); err != nil || got.Status != "quick" {
		t.Errorf("quick = %q, %v", got.Status, err)
	}
}

func TestQMPEnd(t *testing.T) {
	q, events := mustQMP(t, fakeQMP(t, greeting, func(c string) string {
		if c == "quit" {
			return ""
		}
		return ok(c) + `{"event": "SHUTDOWN"}` + "\n"
	}))
	if err := q.execute(soon(t), "quit", nil, nil); !errors.Is(err, errGone) {
		t.Errorf("quit: %v; want %v", err, errGone)
	}
	if err := q.execute(soon(t), "more", nil, nil); !errors.Is(err, errGone) {
		t.Errorf("after the end: %v; want %v", err, errGone)
	}
	// What came before the end is still there, then nothing.
	if _, err := events.wait(soon(t), "SHUTDOWN"); err != nil {
		t.Errorf("waitEvent: %v", err)
	}
	if _, err := events.wait(soon(t), "SHUTDOWN"); !errors.Is(err, errGone) {
		t.Errorf("waitEvent after the end: %v; want %v", err, errGone)
	}
}

func TestEventLogForget(t *testing.T) {
	events := newEventLog(nil)
	events.record(Event{Name: "RESET"})
	events.forget()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if e, err := events.wait(ctx, "RESET"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait = %+v, %v; want the deadline", e, err)
	}
}

func TestIsReset(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		want       bool
	}{
		{"SHUTDOWN", `{"guest": true, "reason": "guest-reset"}`, true},
		{"SHUTDOWN", `{"guest": false, "reason": "host-qmp-system-reset"}`, true},
		{"SHUTDOWN", `{"guest": true, "reason": "guest-shutdown"}`, false},
		{"SHUTDOWN", `{"reason": "host-qmp-quit"}`, false},
		{"SHUTDOWN", ``, false},
		{"RESET", `{"reason": "guest-reset"}`, false},
	} {
		if got := isReset(Event{tt.name, json.RawMessage(tt.data)}); got != tt.want {
			t.Errorf("isReset(%s %s) = %v; want %v", tt.name, tt.data, got, tt.want)
		}
	}
}

// FuzzQMP hands the client any bytes for a QEMU: it must come to an end.
func FuzzQMP(f *testing.F) {
	f.Add([]byte(greeting + ok("") + `{"event": "RESET"}` + "\n" + ok("")))
	f.Add([]byte(greeting + `{"error": {"class": "x", "desc": "y"}}`))
	f.Add([]byte(`{"QMP": null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		client, server := net.Pipe()
		go io.Copy(io.Discard, server)
		go func() {
			server.Write(b)
			server.Close()
		}()
		q, err := newQMP(soon(t), client, func(Event) {})
		if err != nil {
			return
		}
		defer q.close()
		if err := q.execute(soon(t), "query-status", nil, &struct{ Status string }{}); errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
