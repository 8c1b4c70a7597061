package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Limits of asking for the passphrase of a key.
const (
	keyTries = 3
	// keyPatience is how long nobody may press a key before the key counts as
	// missing, where the profile does not say.
	keyPatience = time.Minute
)

// unasked is why a key that nobody opens is of no use.
const unasked = "is encrypted, and nobody gave its passphrase"

// passphrase asks for a passphrase. It is not shown.
type passphrase struct {
	show     *display
	patience time.Duration // after the last key
	where    string        // the key is
	open     func(passphrase []byte) ([]byte, error)
}

// ask returns the text of the key, nil where nobody knows the passphrase; the
// finding then says so. Keys that were pressed before a question, or while a
// passphrase was tried, are dropped: they must not be an answer to the next
// question, be shown by it, or stop a countdown.
func (p *passphrase) ask(ctx context.Context) (text []byte, why string, err error) {
	lines := terminal.LinesOf(p.show.terminals)
	lines.TooMuch = "\nmkimage-install: too much was typed here, this console is not asked any more\n"
	defer lines.Flush()
	note := ""
	for left := keyTries; left > 0 && len(lines.All) > 0; left-- {
		line, end, err := p.line(ctx, lines, note, left)
		if err != nil {
			return nil, "", err
		}
		if end != terminal.Answered {
			p.show.say()
			return nil, unasked, nil
		}
		p.show.say("Trying the passphrase, which takes some seconds.")
		debug.FreeOSMemory() // of the try before
		text, err = p.open(line)
		clear(line)
		switch {
		case err == nil:
			p.show.say()
			return text, "", nil
		case firstboot.CodeOf(err) != firstboot.CodePassphrase:
			p.show.say()
			return nil, err.Error(), nil
		}
		note = fmt.Sprintf("%v; %s.", err, firstboot.HintOf(err))
	}
	p.show.say()
	if note == "" {
		return nil, unasked, nil
	}
	return nil, fmt.Sprintf("is encrypted, and %d passphrases did not open it", keyTries), nil
}

// line asks for one line. The time begins anew whenever a key is pressed.
func (p *passphrase) line(ctx context.Context, lines *terminal.Lines, note string, left int) (line []byte, end terminal.Ending, err error) {
	lines.Flush()
	var message []string
	if note != "" {
		message = append(message, note)
	}
	p.show.say(append(message,
		fmt.Sprintf("The age key on %s has a passphrase. With it the recovery is proved before anything is erased.", p.where),
		fmt.Sprintf("Type it and Enter; nothing is shown of it. %d tries are left. Ctrl-C goes on without, and so do %s without a key.", left, p.patience))...)
	late := time.NewTimer(p.patience)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-late.C:
			return nil, terminal.Skipped, nil
		case in := <-lines.Input():
			if in.Err != nil {
				lines.Drop(in.From)
			} else {
				lines.Take(in)
				late.Reset(p.patience)
			}
		}
		if line, end := lines.Next(); end != terminal.NotYet || len(lines.All) == 0 {
			return line, end, nil
		}
	}
}

// opener tries passphrases of a key, as far as the memory goes.
func opener(data []byte, available func() (int64, error)) func(passphrase []byte) ([]byte, error) {
	return func(passphrase []byte) ([]byte, error) {
		memory, err := available()
		if err != nil {
			return nil, err
		}
		return agekey.Decrypt(data, passphrase, memory)
	}
}
