package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// terminal is a console at which a rehearsal sits. A Console of package qemutests is one.
type terminal interface {
	// Expect waits for text that matches behind what matched before.
	Expect(ctx context.Context, pattern *regexp.Regexp) ([]string, error)
	// Send types text.
	Send(text string) error
}

// answer is what a person types when a question shows.
type answer struct {
	name string // of the question, for errors
	when string // a regular expression without groups that are counted
	text string // with the end of the line
	most int    // how often: a question that comes back was not answered well
}

// errAsksAgain says that an answer was not taken.
var errAsksAgain = errors.New("is asked again and again")

// converse answers questions until a text shows, and returns that. Of several that show at
// once the first is answered first.
func converse(ctx context.Context, t terminal, answers []answer, end string) (string, error) {
	var patterns []string
	for i, a := range answers {
		patterns = append(patterns, fmt.Sprintf("(?P<a%d>%s)", i, a.when))
	}
	pattern, err := regexp.Compile("(?:" + strings.Join(append(patterns, "(?P<end>"+end+")"), "|") + ")")
	if err != nil {
		panic("rehearsal: a question: " + err.Error())
	}
	asked := make([]int, len(answers))
	for {
		found, err := t.Expect(ctx, pattern)
		if err != nil {
			return "", err
		}
		if text := found[pattern.SubexpIndex("end")]; text != "" {
			return text, nil
		}
		for i, a := range answers {
			if found[pattern.SubexpIndex(fmt.Sprintf("a%d", i))] == "" {
				continue
			}
			if asked[i]++; asked[i] > a.most {
				return "", fmt.Errorf("%s: %w: it did not take the answer", a.name, errAsksAgain)
			}
			if err := t.Send(a.text); err != nil {
				return "", err
			}
			break
		}
	}
}

// What the rescue environment shows. A question ends where the console's text ends.
const (
	menuPrompt = `rescue> $`
	// recovered is what the menu says when a command has ended, with the reason if it failed.
	recovered = `(?m:^recover has ended[^\n]*\. Enter shows the menu\.\r?$)`
	// unknown is what it says of a name that no command has.
	unknown = `"recover": expected a number[^\n]*`
)

// recoverAnswers are what a person answers who has lost a disk: that the one with the
// serial number may be erased, the passphrase of the key, that something may be written,
// and not to restart yet.
func recoverAnswers(serial, passphrase string) []answer {
	word := "erase " + serial
	return []answer{
		{"consent to erase the disk", `type this and Enter:\s+` + regexp.QuoteMeta(word) + `\s*> $`, word + "\n", 1},
		{"the passphrase", `(?i:passphrase)[^\n]*: $`, passphrase + "\n", 2},
		{"whether to restart", `Restart [^\n]*\? \[y/N\] $`, "n\n", 1},
		{"whether to go on", `Go on\? \[y/N\] $`, "y\n", 4},
	}
}
