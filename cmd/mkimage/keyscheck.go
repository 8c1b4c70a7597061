package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

type keysCheckFlags struct {
	profileFlags
	keyFlags
	repository string // "" is not looked at
	restic     string // the program
}

func newKeysCheck(u *ui) *cobra.Command {
	var f keysCheckFlags
	cmd := &cobra.Command{
		Use:   "check PROFILE",
		Short: "check that a key opens every secret of a profile, and its backup",
		Long: `check decrypts every secret of a profile with a key, in memory, and says of each
whether that went well: do it before a disk is erased whose data only the backup
has. The values themselves are not shown.

With --repository it also opens a repository of restic with the password that is
among the secrets, and names the newest snapshot from which the first boot would
restore: that of [restore], else that of the first [[backup]]. DIR is where the
repository is here and now. The program restic is started for that; it takes no
lock and writes nothing there, so that a backup disk may be mounted read-only. It
gets the password through a pipe, in no argument and in no variable.

A key that opens nothing, or a repository without a snapshot, ends with 6.`,
		Example: `  mkimage keys check fox --key fox.key
  mkimage keys check fox --key fox.key.age --repository /run/media/ada/backup/restic/fox
  mkimage keys check fox --key fox.key --repository /mnt/fox --json | jq .repository.newest`,
		Args:              takes(1, 1),
		Annotations:       exits(fault.Config, fault.Input, fault.Mismatch),
		ValidArgsFunction: completeProfiles(&f.profileFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	f.profileFlags.define(cmd)
	f.keyFlags.define(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.repository, "repository", "", "open the repository of restic in `DIR`, too")
	flags.StringVar(&f.restic, "restic", "restic", "the `PROGRAM` restic")
	if err := cmd.MarkFlagDirname("repository"); err != nil {
		panic("mkimage: " + err.Error())
	}
	return cmd
}

// checkedKey is what keys check says.
type checkedKey struct {
	Profile    string             `json:"profile"`
	Recipients []string           `json:"recipients"` // of the key
	Secrets    []checkedSecret    `json:"secrets"`
	Repository *checkedRepository `json:"repository,omitempty"`
}

// checkedSecret is a secret that could be decrypted.
type checkedSecret struct {
	Name string `json:"name"`
	File string `json:"file"`
	Key  string `json:"key"`
	Size int    `json:"size"` // bytes
}

// checkedRepository is a repository that could be opened.
type checkedRepository struct {
	Path      string   `json:"path"`
	Host      string   `json:"host"`
	Snapshots int      `json:"snapshots"` // of the host
	Newest    snapshot `json:"newest"`
}

func (f *keysCheckFlags) run(ctx context.Context, u *ui, name string) error {
	p, _, err := resolveProfile(&f.profileFlags, name)
	if err != nil {
		return err
	}
	set, err := secrets.Check(&p)
	if err != nil {
		return err
	}
	if set == nil {
		return fault.New(fault.Config, "add [age] and [[secrets]]; docs/secrets.md says how", "profile %s has no secrets", p.Name)
	}
	key, err := f.read(ctx, u)
	if err != nil {
		return err
	}
	if err := checkRecipients(key.Key, &p, set); err != nil {
		return err
	}
	result := &checkedKey{Profile: p.Name, Recipients: key.Recipients(), Secrets: []checkedSecret{}}
	values, err := decryptAll(result, key.Key, &p, set)
	if err != nil {
		return err
	}
	if f.repository != "" {
		if result.Repository, err = f.checkRepository(ctx, &p, values); err != nil {
			return err
		}
	}
	return u.answer(result, result.print)
}

// checkRecipients compares the key with the one that the machine will look for.
func checkRecipients(key *agekey.Key, p *profiles.Profile, set *secrets.Set) error {
	wanted := []string{p.Age.Recipient}
	if p.Age.Recipient == "" {
		wanted = set.Recipients
	}
	return checkError(p.Name, agekey.Check(key, wanted))
}

// decryptAll decrypts the secrets of a profile and returns their values by
// name. It goes on after one that cannot be decrypted.
func decryptAll(result *checkedKey, key *agekey.Key, p *profiles.Profile, set *secrets.Set) (map[string][]byte, error) {
	values := map[string][]byte{}
	plain := map[string]*secrets.Plain{}
	var wrong []error
	for name, file := range set.Files {
		text, err := secrets.Decrypt(file.Data, file.Format, key.Identities())
		if err != nil {
			wrong = append(wrong, checkError(name, err))
			continue
		}
		plain[name] = text
	}
	slices.SortFunc(wrong, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	for _, s := range p.Secrets {
		if plain[s.File] == nil {
			continue
		}
		value, err := plain[s.File].Value(s.Key)
		if err != nil {
			wrong = append(wrong, checkError("secret "+s.Name, err))
			continue
		}
		values[s.Name] = value
		result.Secrets = append(result.Secrets, checkedSecret{s.Name, s.File, s.Key, len(value)})
	}
	return values, errors.Join(wrong...)
}

// checkError gives a problem of the key or the secrets its class: a key that
// is another one is a difference, all else a bad input.
func checkError(name string, err error) error {
	var p *firstboot.Problem
	if !errors.As(err, &p) {
		return err
	}
	class := fault.Input
	if p.Code == firstboot.CodeOtherKey {
		class = fault.Mismatch
	}
	return fault.New(class, p.Hint, "%s: %w", name, p.Err)
}

// shortNames returns public keys for people: those of the hybrid kind fill a
// page.
func shortNames(recipients []string) string {
	const most = 80
	short := slices.Clone(recipients)
	for i, r := range short {
		if len(r) > most {
			short[i] = r[:24] + "..." + r[len(r)-8:]
		}
	}
	return strings.Join(short, ", ")
}

func (c *checkedKey) print(w io.Writer) {
	fmt.Fprintf(w, "The key %s opens all %d secrets of %s:\n", shortNames(c.Recipients), len(c.Secrets), c.Profile)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range c.Secrets {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d bytes\n", s.Name, printable(s.File), printable(cmp.Or(s.Key, "(all of it)")), s.Size)
	}
	t.Flush()
	if r := c.Repository; r != nil {
		fmt.Fprintf(w, "The password opens %s, with %d snapshots of %s.\nThe newest is %s of %s: %s\n", printable(r.Path), r.Snapshots, printable(r.Host),
			r.Newest.ShortID(), r.Newest.Time.UTC().Format(time.RFC3339), printable(strings.Join(r.Newest.Paths, ", ")))
	}
}
