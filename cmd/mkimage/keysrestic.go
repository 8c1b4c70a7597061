package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Bounds of what is read from restic, in bytes.
const (
	maxSnapshots = 64 << 20
	maxComplaint = 4 << 10
)

// snapshot is one of those that restic lists: internal/restic/snapshot.go of
// restic.
type snapshot struct {
	ID       string    `json:"id"` // 64 hexadecimal digits
	Time     time.Time `json:"time"`
	Hostname string    `json:"hostname"`
	Paths    []string  `json:"paths"`
}

// ShortID returns the beginning of the id, as restic shows it.
func (s snapshot) ShortID() string { return s.ID[:min(8, len(s.ID))] }

// covers reports whether a snapshot has something of a directory.
func (s snapshot) covers(dir string) bool {
	return slices.ContainsFunc(s.Paths, func(p string) bool {
		return p == dir || p == "/" || strings.HasPrefix(dir, p+"/") || strings.HasPrefix(p, dir+"/")
	})
}

// wantedBackup is what is looked for in a repository.
type wantedBackup struct{ password, host, path string }

// wanted returns what a first boot would look for: what is restored, or else
// what is backed up first.
func wanted(p *profiles.Profile) (wantedBackup, error) {
	switch {
	case p.Restore.Password != "":
		return wantedBackup{p.Restore.Password, cmp.Or(p.Restore.Host, p.Hostname), cmp.Or(p.Restore.Path, "/home")}, nil
	case len(p.Backup) > 0:
		return wantedBackup{p.Backup[0].Password, p.Hostname, append(p.Backup[0].Paths, "/home")[0]}, nil
	}
	return wantedBackup{}, fault.New(fault.Config, "", "profile %s has neither [restore] nor [[backup]], so that no secret is a repository's password", p.Name)
}

// checkRepository opens the repository and finds the snapshot that would be
// restored.
func (f *keysCheckFlags) checkRepository(ctx context.Context, p *profiles.Profile, values map[string][]byte) (*checkedRepository, error) {
	want, err := wanted(p)
	if err != nil {
		return nil, err
	}
	// Absolute, so that restic does not take it for a server's.
	dir, err := filepath.Abs(f.repository)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fault.New(fault.Input, "mount the disk that it is on", "%w", err)
	}
	out, err := f.runRestic(ctx, dir, want.host, values[want.password])
	if err != nil {
		return nil, err
	}
	all, err := parseSnapshots(out)
	if err != nil {
		return nil, err
	}
	newest, n := newestOf(all, want.host, want.path)
	if n == 0 {
		return nil, fault.New(fault.Mismatch, "restic snapshots shows all of them", "%s: has no snapshot of %s on host %s: a first boot would restore nothing", dir, want.path, want.host)
	}
	return &checkedRepository{Path: dir, Host: want.host, Snapshots: n, Newest: newest}, nil
}

// parseSnapshots reads the list that restic prints, which is null when empty.
func parseSnapshots(data []byte) ([]snapshot, error) {
	var all []snapshot
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fault.New(fault.Input, "", "list of snapshots of restic: %w", err)
	}
	return all, nil
}

// newestOf returns the newest snapshot of a host that has something of a
// directory, and how many there are.
func newestOf(all []snapshot, host, path string) (newest snapshot, n int) {
	for _, s := range all {
		if s.Hostname != host || !s.covers(path) {
			continue
		}
		if n++; n == 1 || s.Time.After(newest.Time) {
			newest = s
		}
	}
	return newest, n
}

// runRestic lists the snapshots of a host.
func (f *keysCheckFlags) runRestic(ctx context.Context, dir, host string, password []byte) ([]byte, error) {
	program, err := exec.LookPath(f.restic)
	if err != nil {
		return nil, fault.New(fault.Usage, "install restic, or name the program with --restic", "%w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "--repo", dir, "--no-cache", "--no-lock", "--password-file", "/dev/fd/3", "--json", "snapshots", "--host", host)
	cmd.ExtraFiles = []*os.File{read} // descriptor 3
	cmd.Env = withoutRestic(os.Environ())
	out, complaint := &bounded{most: maxSnapshots}, &bounded{most: maxComplaint}
	cmd.Stdout, cmd.Stderr = out, complaint
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fault.New(fault.Input, "", "%w", err), read.Close(), write.Close())
	}
	// Restic may end before it has read it all: that is for Wait to tell.
	go func() {
		_, _ = write.Write(password)
		_ = write.Close()
	}()
	err = errors.Join(read.Close(), cmd.Wait())
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, resticError(dir, err, complaint.String())
	case out.over:
		return nil, fault.New(fault.Input, "", "%s: restic lists more than %d bytes of snapshots", dir, maxSnapshots)
	}
	return out.Bytes(), nil
}

// withoutRestic returns an environment without the variables of restic: they
// would name another password, or another repository.
func withoutRestic(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(v string) bool { return strings.HasPrefix(v, "RESTIC_") })
}

// resticError says why restic failed. Versions before 0.17 end with 1 whatever
// it was, and say it in words alone.
func resticError(dir string, err error, complaint string) error {
	code := firstboot.Code(0)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = firstboot.Code(exit.ExitCode())
	}
	switch {
	case code == firstboot.CodePassword || strings.Contains(complaint, "wrong password"):
		return fault.New(fault.Mismatch, "enter the right one with: sops edit FILE", "%s: the password among the secrets does not open the repository", dir)
	case code == firstboot.CodeNoRepository || strings.Contains(complaint, "Is there a repository"):
		return fault.New(fault.Input, "name the directory with the file config in it", "%s: is no repository of restic", dir)
	}
	last := ""
	for line := range strings.Lines(complaint) {
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
	}
	return fault.New(fault.Input, "", "%s: restic: %w: %s", dir, err, printable(last))
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	bytes.Buffer
	most int
	over bool // there was more
}

// Write implements io.Writer. It takes everything, so that the writer goes on.
func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), b.most-b.Len())
	b.over = b.over || keep < len(p)
	if _, err := b.Buffer.Write(p[:keep]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadFrom hides that of the buffer, which has no bound.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(struct{ io.Writer }{b}, r)
	if err != nil {
		err = fmt.Errorf("output of restic: %w", err)
	}
	return n, err
}
