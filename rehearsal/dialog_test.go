package rehearsal

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// script is a terminal that shows the next text whenever something was typed.
type script struct {
	shows []string
	text  string
	typed []string
}

var errSilent = errors.New("nothing more shows")

func (s *script) Expect(_ context.Context, pattern *regexp.Regexp) ([]string, error) {
	for {
		if m := pattern.FindStringSubmatchIndex(s.text); m != nil {
			groups := pattern.FindStringSubmatch(s.text)
			s.text = s.text[m[1]:]
			return groups, nil
		}
		if len(s.shows) == 0 {
			return nil, errSilent
		}
		s.text += s.shows[0]
		s.shows = s.shows[1:]
	}
}

func (s *script) Send(text string) error {
	s.typed = append(s.typed, text)
	return nil
}

const (
	eraseTyped = "erase REHEARSAL\n"
	ended      = "recover has ended. Enter shows the menu.\n"
)

func TestConverse(t *testing.T) {
	tests := []struct {
		name  string
		shows []string
		typed []string
		end   string // error of the end; "" for none
		err   error
	}{
		{"all questions", []string{
			"same as: p recover\n", "Passphrase of the key on /dev/sdb1 (Enter goes on without it): ", "\nwill erase it\nAll that is on /dev/nvme0n1 is erased. To agree, type this and Enter: erase REHEARSAL\n> ",
			"erase REHEARSAL\nwill fill /home\nGo on? [y/N] ", "y\n12% of 30 MiB\n", "done\nRestart the machine now? [y/N] ", "n\n" + ended,
		}, []string{"pass\n", eraseTyped, "y\n", "n\n"}, "", nil},
		{"lines of a terminal", []string{"To agree, type this and Enter: erase REHEARSAL\r\n> ", "\n" + ended}, []string{eraseTyped}, "", nil},
		{"a word of it alone", []string{"the key has a passphrase\nno question\n", ended}, nil, "", nil},
		{"it fails", []string{"recover has ended: exit status 5. Enter shows the menu.\n"}, nil, "exit status 5", nil},
		{"no such command", []string{"\"recover\": expected a number from 1 to 8, or a name such as home; Enter shows the menu\n"}, nil, "the menu of the stick has no command recover", nil},
		{"a passphrase that is not taken", []string{"Passphrase: ", "\nPassphrase: ", "\nPassphrase: "}, []string{"pass\n", "pass\n"}, "", errAsksAgain},
		{"another disk", []string{"To agree, type this and Enter: erase OTHER\n> "}, nil, "", errSilent},
		{"silence", []string{"hm"}, nil, "", errSilent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{shows: tt.shows}
			end, err := converse(t.Context(), s, recoverAnswers("REHEARSAL", "pass"), recovered+"|"+unknown)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v; want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.typed, s.typed); diff != "" {
				t.Errorf("typed (-want +got):\n%s", diff)
			}
			if err != nil {
				return
			}
			got := ""
			if err := endError(end); err != nil {
				got = err.Error()
			}
			if got != tt.end {
				t.Errorf("the end %q means %q; want %q", strings.TrimSpace(end), got, tt.end)
			}
		})
	}
}
