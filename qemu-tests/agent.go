package qemutests

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// maxAnswer is the length of the longest line that is taken from a guest: 12
// MiB of output in base64.
const maxAnswer = 16 << 20

// Result is how a script in the guest ended.
type Result struct {
	Stdout, Stderr string
	Status         int // exit status; 128 and a signal's number more when one ended it
}

// errGuestDown ends a script whose guest restarts or ends under it.
var errGuestDown = errors.New("the guest went down")

// agent talks to agent.sh. Scripts run one at a time.
type agent struct {
	turn chan struct{} // holds one token: the right to send

	mu      sync.Mutex
	conn    io.ReadWriter     // to the present QEMU; nil before the first
	number  uint64            // of the last script
	bootID  string            // of the guest's boot; "" while the agent is not there
	ready   chan struct{}     // closed while the agent is there
	waiting chan<- agentReply // of the script that runs; nil when none does
}

type agentReply struct {
	Result
	err error
}

func newAgent() *agent {
	a := &agent{turn: make(chan struct{}, 1), ready: make(chan struct{})}
	a.turn <- struct{}{}
	return a
}

// serve reads conn until it ends. A later call goes on with another. An answer
// that is too long fails its script alone: what is left of its line is none.
func (a *agent) serve(conn io.ReadWriter) {
	a.mu.Lock()
	a.conn = conn
	a.mu.Unlock()
	for {
		lines := bufio.NewScanner(conn)
		lines.Buffer(nil, maxAnswer)
		for lines.Scan() {
			a.line(lines.Text())
		}
		if !errors.Is(lines.Err(), bufio.ErrTooLong) {
			break
		}
		a.mu.Lock()
		a.answer(agentReply{err: fmt.Errorf("test agent: its answer is longer than %d bytes of base64", maxAnswer)})
		a.mu.Unlock()
	}
	a.reset()
}

// line takes one line from the guest. One that is neither a greeting nor the
// answer to what was asked last is of an earlier boot or a script that nobody
// waits for any more.
func (a *agent) line(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id, ok := strings.CutPrefix(text, "hello "); ok {
		a.answer(agentReply{err: errGuestDown})
		a.here(id)
		return
	}
	number, reply := parseReply(text)
	switch {
	case number == 0 && reply.Stdout != "" && a.bootID == "":
		a.here(strings.TrimSpace(reply.Stdout))
	case number == a.number && number != 0:
		a.answer(reply)
	}
}

// here notes the boot that the agent is of. The lock is held.
func (a *agent) here(bootID string) {
	if a.bootID == "" {
		close(a.ready)
	}
	a.bootID = bootID
}

// whoIsThere is a script, number 0, that is sent to every machine that starts:
// the agent of a guest that resumes says hello to nobody, and answers it.
var whoIsThere = "0 " + base64.StdEncoding.EncodeToString([]byte("cat /proc/sys/kernel/random/boot_id")) + "\n"

// greet asks who is there; the answer comes once the guest listens.
func (a *agent) greet(conn io.Writer) { _, _ = io.WriteString(conn, whoIsThere) }

// answer ends the script that runs. The lock is held.
func (a *agent) answer(r agentReply) {
	if a.waiting != nil {
		a.waiting <- r // has room for it
		a.waiting = nil
	}
}

// reset notes that the guest is down: the agent is away until it says hello.
func (a *agent) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer(agentReply{err: errGuestDown})
	if a.bootID != "" {
		a.bootID = ""
		a.ready = make(chan struct{})
	}
}

// parseReply reads "NUMBER STATUS oBASE64 eBASE64". A malformed line is an
// empty answer to number 0.
func parseReply(line string) (uint64, agentReply) {
	fields := strings.Fields(line)
	if len(fields) != 4 || fields[2][0] != 'o' || fields[3][0] != 'e' {
		return 0, agentReply{}
	}
	number, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return 0, agentReply{}
	}
	status, err1 := strconv.ParseUint(fields[1], 10, 8)
	out, err2 := base64.StdEncoding.DecodeString(fields[2][1:])
	stderr, err3 := base64.StdEncoding.DecodeString(fields[3][1:])
	if err := errors.Join(err1, err2, err3); err != nil {
		return number, agentReply{err: fmt.Errorf("test agent: answer %d: %w", number, err)}
	}
	return number, agentReply{Result: Result{string(out), string(stderr), int(status)}}
}

// available returns a channel that is closed while the agent is there.
func (a *agent) available() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ready
}

// run runs a script; the agent must be there.
func (a *agent) run(ctx context.Context, script string) (Result, error) {
	select {
	case <-a.turn:
		defer func() { a.turn <- struct{}{} }()
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	reply := make(chan agentReply, 1)
	conn, line := a.ask(script, reply)
	if _, err := io.WriteString(conn, line); err != nil {
		return Result{}, fmt.Errorf("test agent: %w", err)
	}
	select {
	case r := <-reply:
		return r.Result, r.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// ask notes who waits for the next answer and returns the line to send, and
// where to.
func (a *agent) ask(script string, reply chan<- agentReply) (io.Writer, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.number++
	a.waiting = reply
	return a.conn, fmt.Sprintf("%d %s\n", a.number, base64.StdEncoding.EncodeToString([]byte(script)))
}
