package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
)

// TestMain lets the scripts run this test binary as mkimage.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mkimage": func() {
			os.Exit(run(context.Background(), os.Args[1:], stdio{out: os.Stdout, err: os.Stderr}))
		},
	})
}

// TestScript runs testdata/script: one behaviour a file, named by it.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SOURCE_DATE_EPOCH", "")
			golden, err := filepath.Abs("../../builder/nix/testdata/golden")
			env.Setenv("GOLDEN", golden) // a binary cache, and what Nix says of it
			env.Setenv("NIXKEY", nixcache.Key())
			return err
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"fails":     cmdFails,
			"interrupt": cmdInterrupt,
			"truncate":  cmdTruncate,
			"noise":     cmdNoise,
			"flip":      cmdFlip,
			"touch":     cmdTouch,
			"system":    cmdSystem,
			"program":   cmdProgram,
			"nixcache":  cmdNixcache,
			"nixstore":  cmdNixstore,
			"disk":      cmdDisk,
			"sops":      cmdSops,
		},
	})
}

// cmdFails runs a program that must end with an exit code: fails CODE PROGRAM
// ARG... Its output is left for stdout and stderr.
func cmdFails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		ts.Fatalf("%s: ended with %v; want exit status %s", args[1], err, args[0])
	}
	if got := strconv.Itoa(exit.ExitCode()); got != args[0] {
		ts.Fatalf("%s: exit status %s; want %s", args[1], got, args[0])
	}
}

// cmdInterrupt runs a program with --progress=json, sends it SIGINT when it
// prints a first line of progress, and wants it to end with 130: interrupt
// PROGRAM ARG...
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: interrupt PROGRAM ARG...")
	}
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.Getenv("WORK")
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	in := bufio.NewReader(stderr)
	first, err := in.ReadString('\n')
	if err != nil || !strings.Contains(first, `"status"`) {
		ts.Logf("first line %q, %v; want progress", first, err)
	}
	ts.Check(cmd.Process.Signal(syscall.SIGINT))
	rest, err := io.ReadAll(in)
	ts.Check(err)
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		ts.Fatalf("%s: ended with %v (%d); want %d\n%s", args[0], err, code, exitInterrupted, rest)
	}
	if !bytes.Contains(rest, []byte("interrupted")) {
		ts.Fatalf("stderr says nothing of the interruption: %s", rest)
	}
}

// cmdTruncate sets the size of a file, which it makes if need be: truncate
// FILE SIZE.
func cmdTruncate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: truncate FILE SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		size, err = parseSize(args[1])
	}
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR|os.O_CREATE, 0o644)
	ts.Check(err)
	ts.Check(f.Truncate(size))
	ts.Check(f.Close())
}

// cmdNoise makes a file of bytes that do not compress, the same in every run:
// noise FILE SIZE.
func cmdNoise(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: noise FILE SIZE")
	}
	size, err := parseSize(args[1])
	ts.Check(err)
	b := make([]byte, size)
	state := uint64(1)
	for i := range b { // xorshift64, Marsaglia 2003
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		b[i] = byte(state >> 56)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// cmdFlip inverts the first occurrence of a text in a file, so that nothing
// but a checksum can tell: flip FILE TEXT. With a number for TEXT it inverts
// the byte at that offset.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: flip FILE TEXT|OFFSET")
	}
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	at := strings.Index(string(b), args[1])
	if n, err := strconv.Atoi(args[1]); err == nil {
		at = n
	}
	if at < 0 || at >= len(b) {
		ts.Fatalf("%s: %q is not in it", args[0], args[1])
	}
	b[at] ^= 0xff
	ts.Check(os.WriteFile(name, b, 0o644))
}

// cmdTouch sets the modification time of everything below a directory, and of
// itself: touch UNIX DIR.
func cmdTouch(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: touch UNIX DIR")
	}
	ts.Check(ts.Exec("find", ts.MkAbs(args[1]), "-exec", "touch", "-h", "-d", "@"+args[0], "{}", "+"))
}

// cmdSystem makes a small system to build from: system DIR.
func cmdSystem(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: system DIR")
	}
	ts.Check(imgtest.System(ts.MkAbs(args[0])))
}

// cmdProgram makes a program of a system that needs no library: program FILE.
func cmdProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: program FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), imgtest.Program(args[0]), 0o755))
}

// cmdNixcache makes a binary cache with a system in it, whose toplevel is in $SYSTEM:
// nixcache DIR COMPRESSION LABEL [FSTAB [NIXCONF]], where these are files.
func cmdNixcache(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 5 {
		ts.Fatalf("usage: nixcache DIR COMPRESSION LABEL [FSTAB [NIXCONF]]")
	}
	objects, err := nixcache.System(args[2])
	ts.Check(err)
	for i, name := range args[3:] {
		nixcache.SetEtc(objects, []string{"fstab", "nix/nix.conf"}[i], ts.ReadFile(name))
	}
	ts.Check(nixcache.Write(ts.MkAbs(args[0]), args[1], objects))
	ts.Setenv("SYSTEM", nixcache.Path(nixcache.Toplevel(args[2])).String())
}

// cmdNixstore has Nix copy the system of a cache that nixcache made into a new store:
// nixstore DIR CACHE
func cmdNixstore(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: nixstore DIR CACHE")
	}
	store := ts.MkAbs(args[0])
	ts.Defer(func() { ts.Check(nixcache.Writable(store)) })
	ts.Check(nixcache.CopyToStore(context.Background(), ts.MkAbs(args[1]), nixcache.Key(), store, ts.Getenv("SYSTEM")))
}
