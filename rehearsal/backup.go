package rehearsal

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/profiles"
)

// backupMaker makes a sample home and the backup of it.
type backupMaker struct {
	root    chroot
	restore profiles.Restore
	host    string   // whose snapshot it is
	lister  []string // a static program and its arguments, which lists a folder that is named behind them
	restic  []byte
}

// sample is what a rehearsal loses and wants back.
type sample struct {
	tree   string   // a folder of this host with what the backup disk holds
	list   string   // of the home, see package listtree
	restic string   // the version of the program
	noted  []string // what is not in it, as this host keeps none
}

// Places in the folder that restic runs in.
const (
	passwordFile = "/password"
	diskFolder   = "/disk"
)

// make makes the home of users below the path that is restored, lists and backs it up.
func (b *backupMaker) make(ctx context.Context, users []User, password string, now time.Time) (*sample, error) {
	home := filepath.Join(b.root.dir, b.restore.Path)
	repository := filepath.Join(diskFolder, b.restore.Repository)
	for _, dir := range []string{home, filepath.Join(b.root.dir, filepath.Dir(repository)), filepath.Join(b.root.dir, "tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(b.root.dir, passwordFile), []byte(password+"\n"), 0o600); err != nil {
		return nil, err
	}
	s := &sample{tree: filepath.Join(b.root.dir, diskFolder)}
	var err error
	if s.noted, err = makeHome(home, users, isRoot()); err != nil {
		return nil, err
	}
	if s.list, err = b.list(ctx); err != nil {
		return nil, err
	}
	program, err := b.root.put("restic", b.restic)
	if err != nil {
		return nil, err
	}
	if s.restic, err = b.root.run(ctx, program, "version"); err != nil {
		return nil, err
	}
	s.restic = strings.TrimSpace(s.restic)
	common := []string{"--repo", repository, "--password-file", passwordFile, "--no-cache", "--quiet"}
	if _, err := b.root.run(ctx, program, append([]string{"init"}, common...)...); err != nil {
		return nil, err
	}
	_, err = b.root.run(ctx, program, append([]string{"backup", b.restore.Path, "--host", b.host, "--time", now.UTC().Format(time.DateTime)}, common...)...)
	return s, err
}

// list lists the home with the program that lists it in the machine later.
func (b *backupMaker) list(ctx context.Context) (string, error) {
	data, err := os.ReadFile(b.lister[0])
	if err != nil {
		return "", err
	}
	program, err := b.root.put("lister", data)
	if err != nil {
		return "", err
	}
	return b.root.run(ctx, program, append(b.lister[1:len(b.lister):len(b.lister)], b.restore.Path)...)
}

// treeOf returns a folder as a tree whose files are all root's.
func treeOf(ctx context.Context, dir string) (*fstree.Tree, error) {
	return fstree.ScanDir(ctx, dir, fstree.DirOptions{Owner: &fstree.Owner{}})
}

// padded returns a program as a disk that begins with it: whole sectors.
func padded(program []byte) []byte {
	const sector = 4096
	return append(program[:len(program):len(program)], bytes.Repeat([]byte{0}, (sector-len(program)%sector)%sector)...)
}
