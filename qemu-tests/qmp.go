package qemutests

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Event is something that QEMU reports by itself, such as RESET or SHUTDOWN.
// (QEMU QMP Reference Manual.)
type Event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

// CommandError is QEMU's refusal of a command.
type CommandError struct {
	Command string
	Class   string `json:"class"`
	Desc    string `json:"desc"`
}

func (e *CommandError) Error() string { return fmt.Sprintf("QMP %s: %s", e.Command, e.Desc) }

// errGone is the end of a channel: QEMU closed it, or is no more.
var errGone = errors.New("QEMU has gone")

// qmp is a client of QEMU's machine protocol. Commands run one at a time.
type qmp struct {
	conn    io.ReadWriteCloser
	onEvent func(Event) // called by the reader, must not block

	turn    chan struct{} // holds one token: the right to send
	answers chan answer
	gone    chan struct{} // closed when the connection ended

	mu  sync.Mutex
	err error // why the connection ended
}

// answer is one line from QEMU: greeting, result, error or event.
type answer struct {
	Greeting *json.RawMessage `json:"QMP"`
	ID       uint64           `json:"id"`
	Return   json.RawMessage  `json:"return"`
	Error    *CommandError    `json:"error"`
	Event
}

// newQMP takes a fresh connection through the greeting.
func newQMP(ctx context.Context, conn io.ReadWriteCloser, onEvent func(Event)) (*qmp, error) {
	q := &qmp{
		conn: conn, onEvent: onEvent, turn: make(chan struct{}, 1),
		answers: make(chan answer), gone: make(chan struct{}),
	}
	go q.read()
	select {
	case a := <-q.answers:
		if a.Greeting == nil {
			return nil, errors.Join(errors.New("QMP: the first line is no greeting"), q.close())
		}
	case <-q.gone:
		return nil, q.ended()
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), q.close())
	}
	q.turn <- struct{}{}
	if err := q.execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		return nil, errors.Join(err, q.close())
	}
	return q, nil
}

// read hands on what QEMU sends, until the connection ends.
func (q *qmp) read() {
	defer close(q.gone)
	in := json.NewDecoder(bufio.NewReader(q.conn))
	for {
		var a answer
		if err := in.Decode(&a); err != nil {
			q.end(err)
			return
		}
		if a.Name != "" {
			q.onEvent(a.Event)
			continue
		}
		q.answers <- a
	}
}

func (q *qmp) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = errGone
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		q.err = fmt.Errorf("QMP: %w: %w", errGone, err)
	}
}

func (q *qmp) ended() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// close ends the connection, and the reader with it.
func (q *qmp) close() error {
	err := q.conn.Close()
	for {
		select {
		case <-q.answers: // nobody waits for it any more
		case <-q.gone:
			return err
		}
	}
}

// execute runs a command. Arguments and result are JSON structures; nil means
// none.
func (q *qmp) execute(ctx context.Context, command string, arguments, result any) error {
	select {
	case <-q.turn:
	case <-q.gone:
		return fmt.Errorf("QMP %s: %w", command, q.ended())
	case <-ctx.Done():
		return fmt.Errorf("QMP %s: %w", command, ctx.Err())
	}
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		q.turn <- struct{}{}
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	if _, err := q.conn.Write(append(line, '\n')); err != nil {
		q.turn <- struct{}{}
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	select {
	case a := <-q.answers:
		q.turn <- struct{}{}
		return a.into(command, result)
	case <-q.gone:
		return fmt.Errorf("QMP %s: %w", command, q.ended())
	case <-ctx.Done():
		// The answer still comes: whoever sends next must not take it for its own.
		go q.skipAnswer()
		return fmt.Errorf("QMP %s: %w", command, ctx.Err())
	}
}

func (q *qmp) skipAnswer() {
	select {
	case <-q.answers:
		q.turn <- struct{}{}
	case <-q.gone:
	}
}

func (a *answer) into(command string, result any) error {
	if a.Error != nil {
		a.Error.Command = command
		return a.Error
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Return, result); err != nil {
		return fmt.Errorf("QMP %s: result: %w", command, err)
	}
	return nil
}
