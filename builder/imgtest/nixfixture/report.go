package nixfixture

import (
	"fmt"
	"regexp"
	"strings"
)

// The lines around a report.
const (
	reportBegin = "FIXTURE-BEGIN"
	reportEnd   = "FIXTURE-OK"
)

// fact is a line of a report. What the kernel and systemd write between them is none.
var fact = regexp.MustCompile(`^([a-z][a-z0-9./-]*)=(.*)$`)

// ParseReport returns the facts that the system has written on its console, of the last report
// that is whole. Among them are, as system/report.sh has them: state and failed of systemd,
// stage1, version, current-system, booted-system, profile, generation.LINK, mount.PATH as
// "SOURCE TYPE OPTIONS", swap, verify and signatures as "STATUS LAST-LINE" of Nix, secret.
func ParseReport(console string) (map[string]string, error) {
	end := strings.LastIndex(console, reportEnd)
	if end < 0 {
		return nil, fmt.Errorf("console of %d bytes: no %s", len(console), reportEnd)
	}
	begin := strings.LastIndex(console[:end], reportBegin)
	if begin < 0 {
		return nil, fmt.Errorf("console of %d bytes: no %s before %s", len(console), reportBegin, reportEnd)
	}
	facts := map[string]string{}
	for line := range strings.Lines(console[begin:end]) {
		if m := fact.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			facts[m[1]] = m[2]
		}
	}
	return facts, nil
}
