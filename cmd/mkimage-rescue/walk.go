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
get PATH to DIR   copy a file or a directory out; DIR is new or empty, and may
                  be on another disk: /dev/sdb1:DIR, or LABEL=NAME:DIR
pwd               where this is
exit
A name that has " to " in it goes into quotes: get "back to you" to /tmp/new`

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
		return w.d.list(ctx, w.s, w.path(unquote(rest)))
	case "cd":
		to := w.path(unquote(rest))
		err := w.d.Browse(ctx, w.s.ID, to, func(backup.Entry) error { return errEnough })
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		w.at = to
		return nil
	case "pwd":
		_, err := fmt.Fprintln(w.d.p.stdout, repository.Printable(w.at))
		return err
	case "get":
		from, to, ok := fromTo(rest)
		if !ok {
			return fault.New(fault.Usage, "get notes to /tmp/back", "get %s: expected PATH to DIR", repository.Printable(rest))
		}
		return w.get(ctx, w.path(from), to)
	}
	fmt.Fprintln(w.d.p.stdout, walkHelp)
	return nil
}

// get copies a file or a directory out.
func (w *walk) get(ctx context.Context, from, to string) (err error) {
	release, err := w.d.p.alone()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	c := copying{to: to}
	copied, err := c.fromRepository(ctx, w.d, w.s, []string{from})
	if err != nil {
		return err
	}
	return w.d.p.tellCopied(copied)
}

// between is what stands between what is copied and where to.
const between = " to "

// quotes are what a name can be put in that has between in it.
const quotes = `"'`

// fromTo cuts "PATH to DIR" in two. Either may be in quotes; without them the last " to "
// is the one between: directories that are made for a copy have names that are simpler
// than those of what is copied.
func fromTo(text string) (from, to string, ok bool) {
	text = strings.TrimSpace(text)
	at := strings.LastIndex(text, between)
	if text != "" && strings.Contains(quotes, text[:1]) {
		if end := strings.Index(text, text[:1]+between); end > 0 {
			at = end + 1
		}
	} else if n := len(text); n > 0 && strings.Contains(quotes, text[n-1:]) {
		if begin := strings.LastIndex(text[:n-1], between+text[n-1:]); begin > 0 {
			at = begin
		}
	}
	if at < 0 {
		return "", "", false
	}
	from, to = unquote(text[:at]), unquote(text[at+len(between):])
	return from, to, from != "" && to != ""
}

// unquote takes a name out of its quotes, if it is in some.
func unquote(name string) string {
	name = strings.TrimSpace(name)
	if n := len(name); n >= 2 && name[0] == name[n-1] && strings.Contains(quotes, name[:1]) {
		return name[1 : n-1]
	}
	return name
}

// path is a path as it is typed here.
func (w *walk) path(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(w.at, name)
}
