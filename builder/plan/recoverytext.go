package plan

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/profiles"
)

// recovery prints how the system gets its secrets and its data, and where it
// backs them up to; nothing for a system that has none of them.
func (t *printer) recovery(p *Plan) {
	if !p.Profile.Age.IsZero() {
		t.key(p.Profile.Age)
	}
	if len(p.Profile.Secrets) > 0 {
		t.section("Secrets")
		var rows [][]string
		for _, s := range p.Profile.Secrets {
			rows = append(rows, []string{s.Name, printable(secretFrom(s)), printable(secretTo(s))})
		}
		t.table(rows)
	}
	if r := p.Profile.Restore; r != (profiles.Restore{}) {
		t.section("Restore at the first boot")
		t.field(cmp.Or(r.Path, "/home"), strings.Fields(printable(restoreText(r, p.Profile.Hostname)))...)
	}
	if len(p.Profile.Backup) > 0 {
		t.section("Backups")
		var rows [][]string
		for _, b := range p.Profile.Backup {
			rows = append(rows, []string{b.Name, printable(backupPlace(b)), printable(backupText(b))})
		}
		t.table(rows)
	}
}

func (t *printer) key(a profiles.Age) {
	t.section("Key of the secrets")
	t.field("looked for", strings.Fields(strings.Join(a.Sources, ", then "))...)
	if a.Timeout > 0 {
		t.field("asked for", fmt.Sprint(a.Timeout), "seconds", "at", "most")
	}
	t.field("public key", cmp.Or(a.Recipient, "one that all secrets are encrypted for"))
}

// secretFrom returns which value of which file a secret is.
func secretFrom(s profiles.Secret) string {
	if s.Key == "" {
		return s.File
	}
	return s.Key + " of " + s.File
}

// secretTo returns whose file in the running system a secret is.
func secretTo(s profiles.Secret) string {
	owner := cmp.Or(s.Owner, "root")
	if s.Group != "" {
		owner += ":" + s.Group
	}
	text := owner + ", mode " + cmp.Or(s.Mode, "0400")
	if s.Path != "" {
		text += ", " + s.Path
	}
	return text
}

func restoreText(r profiles.Restore, hostname string) string {
	text := fmt.Sprintf("newest snapshot of %s in %s on %s, opened by %s", cmp.Or(r.Host, hostname), r.Repository, r.Disk, r.Password)
	if r.Login == "warn" {
		return text + "; a login is warned meanwhile"
	}
	return text + "; logins wait for it"
}

func backupPlace(b profiles.Backup) string {
	if b.Disk == "" {
		return b.Repository
	}
	return b.Repository + " on " + b.Disk
}

// backupText says what is backed up when, and what is kept of it.
func backupText(b profiles.Backup) string {
	what := "/home"
	if len(b.Paths) > 0 {
		what = strings.Join(b.Paths, ", ")
	}
	text := fmt.Sprintf("%s; %s, delayed by up to %s; ", what, cmp.Or(b.Schedule, "daily at 00:03"), cmp.Or(b.RandomDelay, "1h"))
	var kept []string
	for _, k := range []struct {
		n    int
		unit string
	}{{b.Keep.Daily, "daily"}, {b.Keep.Weekly, "weekly"}, {b.Keep.Monthly, "monthly"}, {b.Keep.Yearly, "yearly"}} {
		if k.n > 0 {
			kept = append(kept, fmt.Sprintf("%d %s", k.n, k.unit))
		}
	}
	if len(kept) == 0 {
		return text + "keeps all"
	}
	return text + "keeps " + strings.Join(kept, ", ")
}
