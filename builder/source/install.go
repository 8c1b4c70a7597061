package source

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// stopWait is how long mmdebstrap may take to remove its temporary files once it
// is told to stop.
const stopWait = 30 * time.Second

// passed are the variables of the environment that reach mmdebstrap, and so the
// scripts of packages. They say how to reach the network and where there is
// room, which changes nothing in what is installed.
var passed = []string{
	"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TMPDIR",
}

// environment returns the whole environment of mmdebstrap.
func (r recipe) environment(own []string) []string {
	env := []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TERM=dumb",
		"SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.Epoch, 10),
		"INITRD=No", // no initramfs when a kernel is installed: ours replaces it
	}
	for _, v := range own {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(passed, name) {
			env = append(env, v)
		}
	}
	return env
}

// install runs mmdebstrap and writes the archive to w. It returns what is kept
// about it. Messages go to log, whose name an error mentions.
func (r recipe) install(ctx context.Context, mode string, m Mirrors, w io.Writer, watch *watcher, log io.Writer, logName string) (record, error) {
	args := r.command(mode, m)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = r.environment(os.Environ())
	cmd.Stderr = io.MultiWriter(log, watch)
	// It cleans up when it is asked to stop, and also when we are gone and its
	// messages reach nobody.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWait
	archive, err := cmd.StdoutPipe()
	if err != nil {
		return record{}, err
	}
	if err := cmd.Start(); err != nil {
		return record{}, fault.New(fault.Input, "", "debian source: %w", err)
	}
	rec, archiveErr := r.receive(archive, w)
	if _, err := io.Copy(io.Discard, archive); archiveErr == nil {
		archiveErr = err // until the end, lest mmdebstrap die of a closed pipe
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return record{}, context.Cause(ctx)
	case err != nil:
		return record{}, fault.New(fault.Input, installHint(watch.last), "debian source: mmdebstrap: %w; the whole log is %s, its end:\n  %s", err, logName, strings.Join(watch.last, "\n  "))
	case archiveErr != nil:
		return record{}, fmt.Errorf("debian source: %w", archiveErr)
	}
	return rec, nil
}

// installHint explains the commonest failures by what apt says of them.
func installHint(last []string) string {
	text := strings.Join(last, "\n")
	switch {
	case strings.Contains(text, "No space left on device"):
		return "make room in the cache and in /tmp, or set TMPDIR to a directory on a larger disk"
	case strings.Contains(text, "Unable to locate package"), strings.Contains(text, "has no installation candidate"):
		return "check the names of packages in the profile; only Debian's component main is used"
	case strings.Contains(text, "Could not resolve"), strings.Contains(text, "Could not connect"), strings.Contains(text, "Temporary failure resolving"):
		return "check the network, or name another mirror"
	case strings.Contains(text, "does not have a Release file"), strings.Contains(text, "404  Not Found"):
		return "check the name of the release, or name a mirror that has it"
	case strings.Contains(text, "NO_PUBKEY"), strings.Contains(text, "not signed"):
		return "the keys of this release are missing: upgrade the package debian-archive-keyring"
	}
	return ""
}

// receive rewrites the archive of mmdebstrap and takes the packages out of it.
func (r recipe) receive(archive io.Reader, w io.Writer) (record, error) {
	sum := sha256.New()
	count := &counter{w: io.MultiWriter(w, sum)}
	out := bufio.NewWriterSize(count, 1<<20)
	rw := rewriter{epoch: time.Unix(r.Epoch, 0).UTC(), sources: r.publicSources()}
	index, err := rw.rewrite(bufio.NewReaderSize(archive, 1<<20), out)
	if err := errors.Join(err, out.Flush()); err != nil {
		return record{}, err
	}
	installed, err := ReadStatus(strings.NewReader(string(rw.status)))
	if err != nil {
		return record{}, fmt.Errorf("/%s: %w", DpkgStatus, err)
	}
	offered, err := readPackages(strings.NewReader(string(index)))
	if err != nil {
		return record{}, fmt.Errorf("index of the archive: %w", err)
	}
	if err := addDigests(installed, offered); err != nil {
		return record{}, err
	}
	rec := record{Version: recordVersion, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: count.n}
	for _, p := range installed {
		rec.Packages = append(rec.Packages, p.pin())
	}
	return rec, nil
}

// counter counts the bytes that are written.
type counter struct {
	w io.Writer
	n int64
}

// Write writes p and counts it.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
