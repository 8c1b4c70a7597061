package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// consent is how a person agrees to what is written.
type consent struct {
	yes    bool
	dryRun bool
}

func (c *consent) addTo(flags *pflag.FlagSet) {
	flags.BoolVarP(&c.yes, "yes", "y", false, "do not ask")
	flags.BoolVarP(&c.dryRun, "dry-run", "n", false, "say what would be done, and do nothing")
}

// errDeclined says that a person did not agree.
var errDeclined = fault.New(fault.Usage, "", "nothing was changed")

// agree says what will be done, and asks. It reports whether to go on: not in a dry run.
func (p *program) agree(ctx context.Context, c consent, will ...string) (bool, error) {
	for _, line := range will {
		p.note("will %s", line)
	}
	if c.dryRun || c.yes {
		return !c.dryRun, nil
	}
	if !p.interactive() {
		return false, fault.New(fault.Usage, "--yes does it without a question, --dry-run says what would be done", "nobody can be asked: standard input is no terminal")
	}
	answer, err := p.ask(ctx, "Go on? [y/N] ")
	if err != nil {
		return false, err
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return false, errDeclined
	}
	return true, nil
}

// interactive reports whether a person can be asked.
func (p *program) interactive() bool {
	f, ok := p.stdin.(*os.File)
	return ok && !p.json && term.IsTerminal(int(f.Fd()))
}

// ask asks a person for a line.
func (p *program) ask(ctx context.Context, question string) (string, error) {
	line, err := p.typed(ctx, question, false)
	return strings.TrimSpace(string(line)), err
}

// argument returns an argument of the command line, the first one being 0, or asks for it
// on a terminal, as the menu has it. usage is what else can be typed.
func (p *program) argument(ctx context.Context, args []string, i int, question, usage string) (string, error) {
	if i < len(args) {
		return args[i], nil
	}
	if !p.interactive() {
		return "", fault.New(fault.Usage, usage, "%d arguments: expected %d", len(args), i+1)
	}
	answer, err := p.ask(ctx, question)
	if err == nil && answer == "" {
		err = errDeclined
	}
	return unquote(answer), err
}

// maxAnswer bounds what is typed, in bytes.
const maxAnswer = 4096

// choose asks a person for one of a list, from 1, and returns its index.
func (p *program) choose(ctx context.Context, what string, list []string) (int, error) {
	for i, line := range list {
		fmt.Fprintf(p.stderr, "%4d  %s\n", i+1, line)
	}
	for range 3 {
		answer, err := p.ask(ctx, fmt.Sprintf("Which %s? [1-%d, Enter for none] ", what, len(list)))
		if err != nil {
			return 0, err
		}
		if answer == "" {
			return 0, errDeclined
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(list) {
			return n - 1, nil
		}
		fmt.Fprintf(p.stderr, "%q: expected a number from 1 to %d\n", answer, len(list))
	}
	return 0, errDeclined
}
