package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder"
)

// recordVersion is the version of the form of record.
const recordVersion = 1

// maxRecord bounds the record of an archive.
const maxRecord = maxLock

// record is what the cache keeps beside an archive. It is written last: an
// archive without one counts as none.
type record struct {
	Version  int       `json:"version"`
	SHA256   string    `json:"sha256"` // of the archive
	Size     int64     `json:"size"`   // bytes of the archive
	Packages []Package `json:"packages"`
}

// slotsDir is the directory of the cache with the slots.
const slotsDir = "source"

// slot is one place in the cache, locked so that two runs which want the same
// archive build it once.
type slot struct {
	dir, key string
	lock     *os.File
	log      io.Writer // for notes
}

func (s *slot) path(suffix string) string { return filepath.Join(s.dir, s.key+suffix) }

// openSlot locks the slot of a key and removes what killed builds left there. It
// says so in log when it has to wait for another run.
func openSlot(ctx context.Context, dir, key string, log io.Writer) (*slot, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	f, err := openLock(filepath.Join(dir, key+".lock"))
	if err != nil {
		return nil, err
	}
	s := &slot{dir: dir, key: key, lock: f, log: log}
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	if err := s.sweep(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// openLock opens a file to be locked. Who shares the cache need not be allowed to write
// another's.
func openLock(name string) (*os.File, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return os.OpenFile(name, os.O_CREATE|os.O_RDONLY, 0o666)
	}
	return f, err
}

// sweep removes what killed builds left of any archive that nobody makes now:
// the lock of a build ends with its process. What another's have left it may not remove.
func (s *slot) sweep() error {
	files, err := os.ReadDir(s.dir)
	for _, f := range files {
		key, _, _ := strings.Cut(f.Name(), ".")
		if !strings.HasSuffix(f.Name(), ".partial") || key != s.key && inUse(filepath.Join(s.dir, key+".lock")) {
			continue
		}
		if removal := os.RemoveAll(filepath.Join(s.dir, f.Name())); !errors.Is(removal, os.ErrPermission) {
			err = errors.Join(err, removal)
		}
	}
	return err
}

// inUse reports whether a process holds the lock, or may do so.
func inUse(lock string) bool {
	f, err := os.Open(lock)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}

// wait takes the lock. After an error the lock file is closed.
func (s *slot) wait(ctx context.Context) error {
	fd := int(s.lock.Fd())
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		fmt.Fprintf(s.log, "source: waiting for another run that makes %s\n", s.key)
		got := make(chan error, 1)
		go func() {
			err := unix.Flock(fd, unix.LOCK_EX)
			for errors.Is(err, unix.EINTR) {
				err = unix.Flock(fd, unix.LOCK_EX)
			}
			got <- err
		}()
		select {
		case err = <-got:
		case <-ctx.Done():
			// The goroutine holds the descriptor until the other run ends.
			go func() { <-got; s.lock.Close() }()
			return context.Cause(ctx)
		}
	}
	if err != nil {
		s.lock.Close()
		return fmt.Errorf("%s: lock: %w", s.lock.Name(), err)
	}
	return nil
}

// close gives the slot free.
func (s *slot) close() error { return s.lock.Close() }

// load returns the record of the slot's archive, nil if there is none that is
// whole. The archive is read as a whole and compared with its digest.
func (s *slot) load(ctx context.Context, progress builder.Progress) (*record, error) {
	rec, err := s.readRecord()
	if rec == nil || err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(".tar"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum, n, err := digest(ctx, f, rec.Size, progress)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil || n != rec.Size || sum != rec.SHA256 {
		s.note("%s: is damaged (%s), and is made again", f.Name(), damage(err, sum, n, rec))
		return nil, nil
	}
	return rec, nil
}

// damage says what is wrong with an archive in the cache.
func damage(err error, sum string, n int64, rec *record) string {
	switch {
	case err != nil:
		return err.Error()
	case n != rec.Size:
		return fmt.Sprintf("has %d bytes, expected %d", n, rec.Size)
	}
	return fmt.Sprintf("SHA-256 %s, expected %s", sum, rec.SHA256)
}

func (s *slot) note(format string, args ...any) {
	fmt.Fprintf(s.log, "source: "+format+"\n", args...)
}

func (s *slot) readRecord() (*record, error) {
	f, err := os.Open(s.path(".json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rec record
	if err := json.NewDecoder(io.LimitReader(f, maxRecord)).Decode(&rec); err != nil {
		s.note("%s: is damaged (%v), and is made again", f.Name(), err)
		return nil, nil
	}
	if rec.Version != recordVersion || rec.Size <= 0 || !validSHA256.MatchString(rec.SHA256) {
		s.note("%s: is of another form, and is made again", f.Name())
		return nil, nil
	}
	return &rec, nil
}

// digest returns the SHA-256 and the number of bytes of r, of which it expects
// size.
func digest(ctx context.Context, r io.Reader, size int64, progress builder.Progress) (string, int64, error) {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return "", n, err
		}
		got, err := r.Read(buf)
		h.Write(buf[:got])
		n += int64(got)
		progress.Report(Stage, min(n, size), size)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), n, nil
		}
		if err != nil {
			return "", n, err
		}
	}
}

// fill puts an archive into the slot: make writes it and returns its record.
// Before the record is there, which is written last and as a whole, the slot
// counts as empty.
func (s *slot) fill(make func(archive io.Writer) (record, error)) (*record, error) {
	work, err := os.MkdirTemp(s.dir, s.key+".*.partial")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	archive := filepath.Join(work, "tar")
	f, err := os.OpenFile(archive, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	rec, err := make(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return nil, err
	}
	note := filepath.Join(work, "json")
	if err := writeSynced(note, append(data, '\n')); err != nil {
		return nil, err
	}
	// Between the two the old record stands beside the new archive; its digest
	// gives that away.
	if err := errors.Join(os.Rename(archive, s.path(".tar")), os.Rename(note, s.path(".json"))); err != nil {
		return nil, err
	}
	return &rec, syncDir(s.dir)
}

func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
