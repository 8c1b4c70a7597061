package rehearsal

import (
	"strconv"

	"github.com/6FaNcY9/mkimage/profiles"
)

// What a rehearsal adds to a profile that restores nothing.
const (
	assumedRepository = "restic"
	assumedSecret     = "rehearsal-restic"
	assumedTimeout    = 60 // seconds; no console is asked for the key
)

// Assume gives a system whose profile restores nothing a backup to restore from, with the
// secret that opens it, so that its stick can be rehearsed before there is one. The report
// says so. A profile that has [restore] stays as it is.
func (s *Subject) Assume() {
	if s.System.Restore != (profiles.Restore{}) {
		return
	}
	s.assumed = true
	s.System.Restore = profiles.Restore{Disk: "LABEL=" + backupLabel, Repository: assumedRepository, Password: assumedSecret}
	if s.System.Age.Timeout == 0 {
		s.System.Age.Timeout = assumedTimeout
	}
	s.System.Secrets = append(s.System.Secrets[:len(s.System.Secrets):len(s.System.Secrets)], profiles.Secret{Name: assumedSecret})
}

// assumptions are the lines of the profile that Assume stands for, without the secret's,
// and what of the real profile they change.
func (s *Subject) assumptions() (o []override, changed []string) {
	if !s.assumed {
		return nil, nil
	}
	const table = "[restore]"
	r := s.System.Restore
	return []override{{"[age]", "timeout", strconv.Itoa(s.System.Age.Timeout)}, {table, "disk", quote(r.Disk)}, {table, "repository", quote(r.Repository)}, {table, "password", quote(r.Password)}},
		[]string{"the backup and its password: the profile has no [restore], so no home comes back to the real machine by itself"}
}
