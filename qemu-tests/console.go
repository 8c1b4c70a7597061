package qemutests

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// maxConsole is how much text of the console is kept: twice this at most, then
// the older half goes.
const maxConsole = 8 << 20

// Console is the guest's serial console: what it prints, without terminal
// control, and a cursor that says how far Expect has read.
type Console struct {
	raw io.Writer     // gets everything as it comes; may be nil
	off chan struct{} // closed when the machine is off and all was read

	mu     sync.Mutex
	conn   io.ReadWriter // of the present QEMU; nil before the first
	text   []byte
	cursor int // in text
	boot   int // in text, where the present QEMU began
	plain  plainText
	more   chan struct{} // closed and replaced when text comes
}

func newConsole(raw io.Writer) *Console {
	return &Console{raw: raw, more: make(chan struct{}), off: make(chan struct{})}
}

// serve reads conn until it ends. A later call goes on with another.
func (c *Console) serve(conn io.ReadWriter) {
	c.mu.Lock()
	c.conn, c.boot = conn, len(c.text)
	c.mu.Unlock()
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if c.raw != nil {
				// A log that cannot be written must not stop the guest.
				_, _ = c.raw.Write(buf[:n])
			}
			c.add(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (c *Console) add(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = c.plain.appendTo(c.text, b)
	if len(c.text) > 2*maxConsole {
		cut := len(c.text) - maxConsole
		c.text = append([]byte(nil), c.text[cut:]...)
		c.cursor, c.boot = max(0, c.cursor-cut), max(0, c.boot-cut)
	}
	close(c.more)
	c.more = make(chan struct{})
}

// Expect waits for text that matches after the cursor, moves the cursor behind
// it, and returns it with its groups. A match may still grow when it ends where
// the text ends: let a pattern end in something that closes it.
func (c *Console) Expect(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	for {
		match, more := c.find(pattern)
		if match != nil {
			return match, nil
		}
		select {
		case <-more:
		case <-c.off:
			if match, _ := c.find(pattern); match != nil { // it came last
				return match, nil
			}
			return nil, fmt.Errorf("console: waiting for %q: %w", pattern, errGone)
		case <-ctx.Done():
			return nil, fmt.Errorf("console: waiting for %q: %w", pattern, ctx.Err())
		}
	}
}

// find returns the groups of the first match after the cursor, or nil and a
// channel that is closed when there is more text.
func (c *Console) find(pattern *regexp.Regexp) ([]string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.text[c.cursor:]
	at := pattern.FindSubmatchIndex(rest)
	if at == nil {
		return nil, c.more
	}
	var groups []string
	for i := 0; i < len(at); i += 2 {
		group := ""
		if at[i] >= 0 {
			group = string(rest[at[i]:at[i+1]])
		}
		groups = append(groups, group)
	}
	c.cursor += at[1]
	return groups, nil
}

// Seen returns the groups of the last match in everything that was printed
// since the machine last started, or nil. The cursor stays.
func (c *Console) Seen(pattern *regexp.Regexp) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := pattern.FindAllStringSubmatch(string(c.text[c.boot:]), -1)
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// changed returns a channel that is closed when there is more text.
func (c *Console) changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.more
}

// Send types text; a line ends in "\n", or "\r" for firmware.
func (c *Console) Send(text string) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if _, err := io.WriteString(conn, text); err != nil {
		return fmt.Errorf("console: send: %w", err)
	}
	return nil
}

// Tail returns the last n lines that are not empty.
func (c *Console) Tail(n int) []string {
	c.mu.Lock()
	text := string(c.text)
	c.mu.Unlock()
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \t\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}
