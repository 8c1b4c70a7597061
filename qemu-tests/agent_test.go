package qemutests

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fakeAgent(t *testing.T) (*agent, *bufio.Reader, net.Conn) {
	t.Helper()
	ours, guest := net.Pipe()
	a := newAgent()
	served := make(chan struct{})
	go func() {
		a.serve(ours)
		close(served)
	}()
	t.Cleanup(func() { guest.Close(); <-served })
	return a, bufio.NewReader(guest), guest
}

type ran struct {
	Result
	err error
}

// start runs a script and returns where its result comes.
func start(ctx context.Context, a *agent, script string) <-chan ran {
	done := make(chan ran, 1)
	go func() {
		r, err := a.run(ctx, script)
		done <- ran{r, err}
	}()
	return done
}

// asked reads what the agent was sent.
func asked(t *testing.T, in *bufio.Reader) (number, script string) {
	t.Helper()
	line, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	number, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return number, string(b)
}

func TestAgentRun(t *testing.T) {
	a, in, guest := fakeAgent(t)
	print(t, guest, "hello boot-1\n")
	<-a.available()
	for i, want := range []Result{{"out\n", "", 0}, {"", "err", 255}, {"", "", 1}} {
		script := fmt.Sprintf("script %d\nof two lines", i)
		done := start(soon(t), a, script)
		number, got := asked(t, in)
		if got != script {
			t.Errorf("asked %q; want %q", got, script)
		}
		b64 := base64.StdEncoding.EncodeToString
		print(t, guest, fmt.Sprintf("%s %d o%s e%s\n", number, want.Status, b64([]byte(want.Stdout)), b64([]byte(want.Stderr))))
		if r := <-done; r.err != nil || r.Result != want {
			t.Errorf("run = %+v; want %+v", r, want)
		}
	}
}

// TestAgentStale gives up on a script; its answer, and lines that are none,
// must not become the answer of the next.
func TestAgentStale(t *testing.T) {
	a, in, guest := fakeAgent(t)
	print(t, guest, "hello boot-1\n")
	<-a.available()
	ctx, cancel := context.WithCancel(t.Context())
	done := start(ctx, a, "slow")
	first, _ := asked(t, in)
	cancel()
	if r := <-done; !errors.Is(r.err, context.Canceled) {
		t.Fatalf("run: %v; want canceled", r.err)
	}
	done = start(soon(t), a, "quick")
	second, _ := asked(t, in)
	print(t, guest, first+" 0 oc2xvdw== e\n\nnoise\n1 2 3\n0 0 o e\n"+second+" 0 ocXVpY2s= e\n")
	if r := <-done; r.err != nil || r.Stdout != "quick" {
		t.Errorf("run = %+v; want quick", r)
	}
}

// TestAgentResumed is of a guest that went on where it was: it says no hello.
func TestAgentResumed(t *testing.T) {
	a, in, guest := fakeAgent(t)
	print(t, guest, "0 0 o e\n") // malformed lines are no agent
	select {
	case <-a.available():
		t.Fatal("the agent is there")
	default:
	}
	go a.greet(guestEnd{a})
	if number, script := asked(t, in); number != "0" || !strings.Contains(script, "boot_id") {
		t.Fatalf("asked %s %q", number, script)
	}
	print(t, guest, "0 0 o"+base64.StdEncoding.EncodeToString([]byte("boot-1\n"))+" e\n")
	<-a.available()
	if a.bootID != "boot-1" {
		t.Errorf("boot %q; want boot-1", a.bootID)
	}
	// An answer that comes late, behind a hello, changes nothing.
	print(t, guest, "hello boot-2\n0 0 o"+base64.StdEncoding.EncodeToString([]byte("boot-1\n"))+" e\n")
	done := start(soon(t), a, "true")
	number, _ := asked(t, in)
	print(t, guest, number+" 0 o e\n")
	if r := <-done; r.err != nil || a.bootID != "boot-2" {
		t.Errorf("run: %v, boot %q; want boot-2", r.err, a.bootID)
	}
}

// guestEnd writes to whom an agent serves.
type guestEnd struct{ a *agent }

func (g guestEnd) Write(b []byte) (int, error) {
	g.a.mu.Lock()
	conn := g.a.conn
	g.a.mu.Unlock()
	return conn.Write(b)
}

func TestAgentTooLong(t *testing.T) {
	a, in, guest := fakeAgent(t)
	print(t, guest, "hello boot-1\n")
	<-a.available()
	done := start(soon(t), a, "cat /dev/zero")
	number, _ := asked(t, in)
	print(t, guest, number+" 0 o"+strings.Repeat("A", maxAnswer)+" e\n")
	if r := <-done; r.err == nil || !strings.Contains(r.err.Error(), "longer than") {
		t.Errorf("run: %v; want an error about the length", r.err)
	}
	done = start(soon(t), a, "true")
	number, _ = asked(t, in)
	print(t, guest, number+" 0 o e\n")
	if r := <-done; r.err != nil {
		t.Errorf("the next script: %v", r.err)
	}
}

func TestAgentRestart(t *testing.T) {
	for _, tt := range []struct {
		name    string
		restart func(a *agent, guest io.Writer)
		want    error
	}{
		{"reset", func(a *agent, _ io.Writer) { a.reset() }, errGuestDown},
		{"hello again", func(_ *agent, guest io.Writer) { io.WriteString(guest, "hello boot-2\n") }, errGuestDown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, in, guest := fakeAgent(t)
			print(t, guest, "hello boot-1\n")
			<-a.available()
			done := start(soon(t), a, "reboot")
			asked(t, in)
			tt.restart(a, guest)
			if r := <-done; !errors.Is(r.err, tt.want) {
				t.Errorf("run: %v; want %v", r.err, tt.want)
			}
		})
	}
	a, _, guest := fakeAgent(t)
	print(t, guest, "hello boot-1\n")
	<-a.available()
	a.reset()
	a.reset()
	select {
	case <-a.available():
		t.Error("the agent is there after a reset")
	default:
	}
	print(t, guest, "hello boot-2\n")
	<-a.available()
}

func TestAgentEnd(t *testing.T) {
	a, in, guest := fakeAgent(t)
	print(t, guest, "hello boot-1\n")
	<-a.available()
	done := start(soon(t), a, "halt")
	asked(t, in)
	guest.Close()
	if r := <-done; !errors.Is(r.err, errGuestDown) {
		t.Errorf("run: %v; want %v", r.err, errGuestDown)
	}
}

func TestParseReply(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		number   uint64
		want     Result
		err      bool
	}{
		{"all", "7 3 oYQ== eYg==", 7, Result{"a", "b", 3}, false},
		{"nothing printed", "7 0 o e", 7, Result{}, false},
		{"highest status", "7 255 o e", 7, Result{Status: 255}, false},
		{"above it", "7 256 o e", 7, Result{}, true},
		{"no base64", "7 0 o! e", 7, Result{}, true},
		{"no number", "x 0 o e", 0, Result{}, false},
		{"too short", "7 0 o", 0, Result{}, false},
		{"too long", "7 0 o e x", 0, Result{}, false},
		{"other letters", "7 0 e o", 0, Result{}, false},
		{"empty", "", 0, Result{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			number, r := parseReply(tt.in)
			if number != tt.number || r.Result != tt.want || (r.err != nil) != tt.err {
				t.Errorf("parseReply(%q) = %d, %+v", tt.in, number, r)
			}
		})
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add("7 3 oYQ== eYg==")
	f.Add("7 256 o! e")
	f.Fuzz(func(t *testing.T, line string) {
		number, r := parseReply(line)
		if r.Status < 0 || r.Status > 255 || len(r.Stdout)+len(r.Stderr) > len(line) {
			t.Errorf("parseReply(%q) = %d, %+v", line, number, r)
		}
	})
}

// TestAgentScript runs the script of the guest here, on a port that is a pair
// of pipes.
func TestAgentScript(t *testing.T) {
	if !strings.Contains(agentScript, "exec 3<>/dev/virtio-ports/"+agentPort+" ") {
		t.Fatalf("the script does not open the port %s", agentPort)
	}
	dir := t.TempDir()
	script := strings.NewReplacer(
		"exec 3<>/dev/virtio-ports/"+agentPort, "exec 3>&1",
		"<&3", "", // it reads standard input
		"/run/mkimage-test", dir,
	).Replace(agentScript)
	cmd := exec.CommandContext(soon(t), "/bin/sh", "-c", script)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	a := newAgent()
	go a.serve(struct {
		io.Reader
		io.Writer
	}{out, in})
	<-a.available()
	for script, want := range map[string]Result{
		"echo a; echo b >&2; exit 3":         {"a\n", "b\n", 3},
		"":                                   {},
		"printf '%s' \"$0\" | tail -c 7":     {"/script", "", 0},
		"printf '\\\\ \\303\\251\\n\\n'":     {"\\ é\n\n", "", 0},
		"read -r x && echo read the channel": {"", "", 1},
	} {
		got, err := a.run(soon(t), script)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("script %q: %v\n%s", script, err, diff)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestEFIString(t *testing.T) {
	want := []byte{7, 0, 0, 0, 'a', 0, '.', 0, 0xe9, 0, 0, 0}
	if got := efiString("a.é"); !cmp.Equal(got, want) {
		t.Errorf("efiString = %v; want %v", got, want)
	}
}
