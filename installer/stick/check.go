package stick

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/profiles"
)

// rebuild says how a medium is made anew, from the profile that it was made of.
func (s *Stick) rebuild() string {
	return "mkimage build " + s.Plan.Name() + " makes a new one, mkimage write puts it on the stick"
}

// damage is about the bytes of the medium.
func damage(s *Stick, _ *Machine) []Finding {
	switch {
	case s.Problems <= 0 && s.Unreadable != "":
		return []Finding{{Kind: Damage, Severity: Broken, What: "the medium is damaged: its rescue environment cannot be read", Is: s.Unreadable, Do: "write it again; " + s.rebuild()}}
	case s.Problems < 0:
		return []Finding{{Kind: Damage, Severity: Note, What: "the medium was not read as a whole", Do: "leave --quick out"}}
	case s.Problems > 0:
		return []Finding{{
			Kind: Damage, Severity: Broken, What: fmt.Sprintf("the medium is damaged: %d problems", s.Problems), Is: s.First,
			Do: "write it again, and take another stick if it happens again; mkimage verify names all of them",
		}}
	}
	return nil
}

// trust is about who made the medium.
func trust(s *Stick, _ *Machine) []Finding {
	switch {
	case s.BadSign != "":
		return []Finding{{Kind: Trust, Severity: Broken, What: "the signature of its manifest is not good", Is: s.BadSign, Do: "do not start it; " + s.rebuild()}}
	case !s.Signed:
		return []Finding{{Kind: Trust, Severity: Note, What: "its manifest is not signed", Do: "build it with --sign-key KEY"}}
	}
	return nil
}

// key is about the machine's key, which must open the secrets on the medium.
func key(s *Stick, m *Machine) []Finding {
	if s.Recipients == nil {
		return nil
	}
	if m.Key == nil {
		return m.unknown(Key, "the key of this machine was", "run it as root")
	}
	if slices.ContainsFunc(m.Key, func(r string) bool { return slices.Contains(s.Recipients, r) }) {
		return nil
	}
	return []Finding{{
		Kind: Key, Severity: Broken, What: "the key of this machine does not open the secrets on the medium",
		Was: strings.Join(s.Recipients, ", "), Is: strings.Join(m.Key, ", "),
		Do: "sops updatekeys FILE for each file of secrets, then " + s.rebuild() + "; until then keep the old key",
	}}
}

// encrypted compares the files of secrets of the profile with those on the medium.
func encrypted(s *Stick, m *Machine) []Finding {
	if m.Plan == nil {
		return nil
	}
	if m.Secrets == nil {
		return m.unknown(Secrets, "the secrets of the profile were", "")
	}
	var list []Finding
	add := func(severity Severity, what, was, is string) {
		list = append(list, Finding{Kind: Secrets, Severity: severity, What: what, Was: was, Is: is, Do: s.rebuild()})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Secrets)) {
		now := m.Secrets[name]
		was, had := s.Secrets[name]
		switch {
		case !had:
			add(Drift, "secrets "+name+" are not on the medium", "", "in the profile")
		case !slices.Equal(was.Recipients, now.Recipients):
			add(Drift, "secrets "+name+" are encrypted for other keys", strings.Join(was.Recipients, ", "), strings.Join(now.Recipients, ", "))
		case was.SHA256 != now.SHA256:
			add(Drift, "secrets "+name+" have changed", "SHA-256 "+was.SHA256.String(), "SHA-256 "+now.SHA256.String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		if _, is := m.Secrets[name]; !is {
			add(Note, "secrets "+name+" are no longer in the profile", "on the medium", "")
		}
	}
	return list
}

// maxKeys bounds the keys of a profile that are named.
const maxKeys = 8

// profile compares what the profile says now with the plan on the medium.
func profile(s *Stick, m *Machine) []Finding {
	if m.Plan == nil {
		return m.unknown(Profile, "the profile was", "name the folder that has it: --profile-dir DIR, or another profile: --profile NAME")
	}
	var list []Finding
	for _, part := range []struct {
		name    string
		was, is any
	}{
		{"profile " + s.Plan.Profile.Name, s.Plan.Profile, m.Plan.Profile},
		{"layout " + layoutOf(s.Plan).Name, layoutOf(s.Plan), layoutOf(m.Plan)},
	} {
		was, is := changed(part.was, part.is)
		if len(was)+len(is) == 0 {
			continue
		}
		list = append(list, Finding{Kind: Profile, Severity: Drift, What: part.name + " has changed", Was: few(was), Is: few(is), Do: s.rebuild()})
	}
	return list
}

// changed returns what of two values of one type differs, as KEY = TEXT.
func changed(was, is any) (before, after []string) {
	texts := func(v any) []string {
		// By its JSON, in which a list that is empty and one that is not there are the same
		// in a plan that was read and in one that was made.
		data, err := json.Marshal(v)
		if err != nil {
			return []string{err.Error()}
		}
		var values map[string]any
		if err := json.Unmarshal(data, &values); err != nil {
			return []string{err.Error()}
		}
		return flatten("", values)
	}
	a, b := texts(was), texts(is)
	for _, t := range a {
		if !slices.Contains(b, t) {
			before = append(before, t)
		}
	}
	for _, t := range b {
		if !slices.Contains(a, t) {
			after = append(after, t)
		}
	}
	return before, after
}

// flatten returns the values of decoded JSON as KEY = TEXT, sorted by their keys.
func flatten(key string, v any) (list []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = append(list, flatten(strict.Join(key, name), v[name])...)
		}
	case []any:
		for i, element := range v {
			list = append(list, flatten(strict.Index(key, i), element)...)
		}
	default:
		list = append(list, fmt.Sprintf("%s = %v", strings.TrimPrefix(key, "."), v))
	}
	return list
}

func few(list []string) string {
	if n := len(list) - maxKeys; n > 0 {
		return strings.Join(list[:maxKeys], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(list, ", ")
}

// staleBackup is how old the newest snapshot may be: two weeks are more than any profile
// leaves between two of them.
const staleBackup = 14 * 24 * time.Hour

// backup is about restic, and about the disk with the backups where it is there.
func backup(s *Stick, m *Machine) []Finding {
	var list []Finding
	if s.Restic != "" && m.Restic != "" && s.Restic != m.Restic {
		list = append(list, Finding{Kind: Backup, Severity: Note, What: "restic on the medium is another one", Was: s.Restic, Is: m.Restic, Do: s.rebuild()})
	}
	if !wantsBackup(s.Plan) {
		return list
	}
	var newest time.Time
	found := false
	for _, b := range m.Backups {
		for _, r := range b.Repositories {
			if !isOf(s.Plan, r.Path) {
				continue // of another machine, on the same disk
			}
			found = true
			if r.Newest.After(newest) {
				newest = r.Newest
			}
		}
	}
	switch {
	case m.System == nil && !found:
		return append(list, m.unknown(Backup, "backups were", "run it as root")...)
	case !found:
		return append(list, Finding{Kind: Backup, Severity: Note, What: "no backup disk is plugged in: it was not looked at", Do: "plug it in, and check again"})
	case m.Now.Sub(newest) > staleBackup:
		return append(list, Finding{
			Kind: Backup, Severity: Drift, What: "the newest snapshot is old", Is: newest.UTC().Format(time.RFC3339), Do: "make a backup: systemctl list-timers 'mkimage-backup*'",
		})
	}
	return list
}

func wantsBackup(p *plan.Plan) bool { return p.Profile.Restore.Disk != "" || len(p.Profile.Backup) > 0 }

// version is about what the medium was made with.
func version(s *Stick, m *Machine) []Finding {
	var list []Finding
	if s.Mkimage != m.Mkimage {
		list = append(list, Finding{Kind: Version, Severity: Note, What: "the medium was made by another mkimage", Was: s.Mkimage, Is: m.Mkimage, Do: s.rebuild()})
	}
	if m.Kernel != "" && s.Kernel != m.Kernel {
		list = append(list, Finding{Kind: Version, Severity: Note, What: "the medium starts another kernel than the one that runs", Was: s.Kernel, Is: m.Kernel})
	}
	return list
}

// isOf reports whether a plan restores from a repository, or backs up to it.
func isOf(p *plan.Plan, repository string) bool {
	same := func(name string) bool {
		return strings.Trim(path.Clean("/"+name), "/") == strings.Trim(path.Clean("/"+repository), "/")
	}
	return same(p.Profile.Restore.Repository) || slices.ContainsFunc(p.Profile.Backup, func(b profiles.Backup) bool { return same(b.Repository) })
}
