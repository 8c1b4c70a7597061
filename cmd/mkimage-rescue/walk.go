package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/rescue/backup"
)

// walk is a person in a snapshot.
type walk struct {
	d  *desk
	s  repository.Snapshot
	at string // a directory of the snapshot
}

// walkHelp is what one can type.
const walkHelp = `ls [PATH]         what a directory has
cd PATH           go into a directory; cd .. leaves it
get PATH to DIR   copy a file or a directory out; DIR is new or empty, and may be on
                  another disk: /dev/sdb1:DIR, or LABEL=NAME:DIR
pwd               where this is
exit`

// errEnough ends a listing of which no more is wanted.
var errEnough = errors.New("enough")

// run takes commands until one ends it. What goes wrong with one is told, and the next is
// taken.
func (w *walk) run(ctx context.Context) error {
	p := w.d.p
	fmt.Fprintf(p.stdout, "snapshot %s of %s of %s\n%s\n", w.s.Short(), w.s.Time.Format(shownTime), repository.Printable(w.s.Host), walkHelp)
	for {
		line, err := p.ask(ctx, fmt.Sprintf("%s:%s> ", w.s.Short(), repository.Printable(w.at)))
		if fault.ClassOf(err) == fault.Usage { // the input has ended
			return nil
		}
		if err != nil {
			return err
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "exit" || word == "quit" {
			return nil
		}
		if err := w.do(ctx, word, strings.TrimSpace(rest)); err != nil {
			if ctx.Err() != nil {
				return err
			}
			fmt.Fprintf(p.stderr, "%v\n", err)
			if hint := firstboot.HintOf(err); hint != "" {
				fmt.Fprintf(p.stderr, "hint: %s\n", hint)
			}
		}
	}
}

// do does what one line says.
func (w *walk) do(ctx context.Context, word, rest string) error {
	switch word {
	case "":
		return nil
	case "ls":
		return w.d.list(ctx, w.s, w.path(rest))
	case "cd":
		to := w.path(rest)
		err := w.d.Browse(ctx, w.s.ID, to, func(backup.Entry) error { return errEnough })
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		w.at = to
		return nil
	case "pwd":
		_, err := fmt.Fprintln(w.d.p.stdout, w.at)
		return err
	case "get":
		from, to, ok := strings.Cut(rest, " to ")
		if !ok {
			return fault.New(fault.Usage, "get notes to /tmp/back", "get %s: expected PATH to DIR", rest)
		}
		c := copying{to: strings.TrimSpace(to)}
		copied, err := c.fromRestic(ctx, w.d, w.s, []string{w.path(strings.TrimSpace(from))})
		if err != nil {
			return err
		}
		return w.d.p.tellCopied(copied)
	}
	fmt.Fprintln(w.d.p.stdout, walkHelp)
	return nil
}

// path is a path as it is typed here.
func (w *walk) path(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(w.at, name)
}
