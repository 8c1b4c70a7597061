package preflight

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Limits of what the program may print.
const (
	maxReport   = 1 << 20 // bytes
	maxFindings = 1000
	maxSaid     = 4 << 10 // bytes that are kept of its errors
)

// Recovery is what is to be proved, and with what.
type Recovery struct {
	Plan    *plan.Plan    // of the medium
	Program string        // mkimage-firstboot of the payload
	Tree    Tree          // of the payload
	Key     []byte        // text of the key, not encrypted; nil when none was found
	Backup  string        // node of the backup disk, or a directory that has what is on it; "" when it was not found
	Space   int64         // bytes that the home will have; 0 is not judged
	Most    time.Duration // after which the program is ended; 0 is ten minutes
}

// Nothing is the finding about systems that have nothing to recover.
var Nothing = Finding{Name: "recovery", OK: true, Text: "the system has neither secrets nor a backup to restore: nothing is to be proved"}

// Prove has the system's own program prove that recovery will work. The findings
// are all, those that the profile does without marked as such. The error is for
// a program that does not answer, or not as it should: then nothing is proved.
func Prove(ctx context.Context, r Recovery) ([]Finding, error) {
	profile := &r.Plan.Profile
	secrets, restore := len(profile.Secrets) > 0, profile.Restore != profiles.Restore{}
	if !secrets && !restore {
		return []Finding{Nothing}, nil
	}
	text, code, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	list, err := decode(text, code)
	if err != nil {
		return nil, err
	}
	// The program reads what the payload says; the plan says what that must be.
	for proof, need := range map[string]bool{ProofKey: secrets, ProofBackup: restore} {
		if need && !slices.ContainsFunc(list, func(f Finding) bool { return f.Proof == proof }) {
			return nil, fault.New(fault.Input, "build the medium again", "recovery: the system's program says nothing about the %s, which its profile has", proof)
		}
	}
	if m := r.Plan.Medium; m != nil {
		Waive(list, m.Installer.Missing)
	}
	return list, nil
}

// run runs the program and returns what it prints and its exit code.
func (r *Recovery) run(ctx context.Context) (text []byte, code int, err error) {
	most := r.Most
	if most == 0 {
		most = 10 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("recovery: it is not proved after %v", most))
	defer cancel()
	// A child is killed when the thread ends that started it, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, r.Program, r.arguments()...)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it unmounts the disk
	cmd.WaitDelay = 20 * time.Second
	out, said := &bounded{most: maxReport}, &bounded{most: maxSaid, cut: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(r.Key), out, said
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, 0, context.Cause(ctx)
	case out.over:
		return nil, 0, fmt.Errorf("recovery: %s printed more than %d bytes", r.Program, maxReport)
	case errors.As(err, &exit) && exit.Exited():
		if code := exit.ExitCode(); len(out.data) > 0 {
			return out.data, code, nil
		}
		err = fmt.Errorf("%w: %s", err, printable(strings.TrimSpace(string(said.data))))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("recovery: %s: %w", r.Program, err)
	}
	return out.data, 0, nil
}

// arguments have nothing secret.
func (r *Recovery) arguments() []string {
	args := []string{"prove", "--json", "--root", r.Tree.Root, "--space", strconv.FormatInt(r.Space, 10)}
	for _, target := range slices.Sorted(maps.Keys(r.Tree.Mounts)) {
		args = append(args, "--mount", target+"="+r.Tree.Mounts[target])
	}
	if r.Key != nil {
		args = append(args, "--key-file", "-")
	}
	if r.Backup != "" {
		args = append(args, "--backup-disk", r.Backup)
	}
	return args
}

// decode reads what the program printed before it exited with a code: 0 when
// nothing stops, and otherwise that of the first finding that does.
func decode(text []byte, code int) ([]Finding, error) {
	var failed struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
		Code  int    `json:"code"`
	}
	if strict(text, &failed) == nil && failed.Error != "" {
		return nil, fault.New(fault.Input, printable(failed.Hint), "recovery: %s", printable(failed.Error))
	}
	var r Report
	if err := strict(text, &r); err != nil {
		return nil, fmt.Errorf("recovery: what the program printed: %w", err)
	}
	switch {
	case r.Version != ReportVersion:
		return nil, fmt.Errorf("recovery: report of version %d, expected %d", r.Version, ReportVersion)
	case len(r.Findings) == 0 || len(r.Findings) > maxFindings:
		return nil, fmt.Errorf("recovery: %d findings, expected 1 to %d", len(r.Findings), maxFindings)
	}
	for i, f := range r.Findings {
		if f.Name == "" || f.Waived || f.OK && f.Code != 0 || f.Stops() && f.Code == 0 {
			return nil, fmt.Errorf("recovery: finding %d is not one: %+q", i+1, f.Name)
		}
	}
	if want := FirstCode(r.Findings); want != code {
		return nil, fmt.Errorf("recovery: the program ended with %d, its findings mean %d", code, want)
	}
	return r.Findings, nil
}

// FirstCode returns the code of the first finding that stops, 0 for none.
func FirstCode(list []Finding) int {
	for _, f := range list {
		if f.Stops() {
			return f.Code
		}
	}
	return 0
}

// strict reads one JSON object and nothing besides.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something after the object")
	}
	return nil
}

// bounded keeps what is written to it, up to a limit.
type bounded struct {
	data []byte
	most int
	cut  bool // what is over is left out; else writing it fails
	over bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - len(b.data)
	b.data = append(b.data, p[:min(room, len(p))]...)
	if len(p) <= room {
		return len(p), nil
	}
	if b.over = true; b.cut {
		return len(p), nil
	}
	return 0, fmt.Errorf("more than %d bytes", b.most)
}
