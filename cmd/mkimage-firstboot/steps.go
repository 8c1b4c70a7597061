package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/firstboot/decrypt"
)

func newSecrets(s *system) *cobra.Command {
	return &cobra.Command{
		Use:   "secrets",
		Short: "decrypt the secrets into /run/secrets",
		Long: `secrets decrypts all secrets of this system with its age key into /run/secrets, in
memory that is never swapped: all of them, or none, and then what was there before
stays. mkimage-secrets.service does it at every boot.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := s.config()
			if err != nil {
				return err
			}
			n, err := s.decrypt(&c)
			return s.record(&c, firstboot.StepSecrets, err, fmt.Sprintf("%d secrets in /run/secrets", n))
		},
	}
}

// decrypt decrypts the secrets and returns how many there are.
func (s *system) decrypt(c *firstboot.Config) (int, error) {
	if len(c.Secrets) == 0 || c.NixOS {
		return 0, nil
	}
	key, err := agekey.Read(s.files(), c.Age.Path)
	if firstboot.CodeOf(err) == firstboot.CodeNoKey {
		return 0, firstboot.NewProblem(firstboot.CodeNoKey, "mkimage-firstboot import", "%w", err)
	}
	if err == nil {
		err = agekey.Check(key, c.Age.Recipients)
	}
	if err != nil {
		return 0, err
	}
	report, err := decrypt.Install(c, key, decrypt.Dirs{})
	for _, note := range report.Notes {
		fmt.Fprintln(s.err, note)
	}
	for _, name := range report.Removed {
		fmt.Fprintf(s.err, "%s: removed, its secret is no more\n", name)
	}
	return len(report.Names), err
}

func newReady(s *system) *cobra.Command {
	return &cobra.Command{
		Use:   "ready",
		Short: "tell whether the system may be backed up",
		Long: `ready succeeds when nothing is left to be restored. A home that is still empty must
not become the newest backup, which is what the next restore would take.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := s.config()
			if errors.Is(err, fs.ErrNotExist) || err == nil && c.Restore == nil {
				return nil
			}
			if err != nil {
				return err
			}
			state, err := firstboot.ReadState(s.files())
			if err != nil {
				return err
			}
			// What was there before the restore, and lies beside it now, is data too.
			last, _ := state.Last(firstboot.StepRestore)
			if !state.Done(firstboot.StepRestore) && last.Code != int(firstboot.CodeNotPristine) {
				return firstboot.NewProblem(firstboot.CodeNotYet, "mkimage-firstboot status", "%s is not restored yet: not backed up", c.Restore.Path)
			}
			return nil
		},
	}
}

// systemctl runs systemctl, whose words are those of its error.
func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// activate has NixOS decrypt its secrets: by the unit of sops-nix where it has
// one, else by activating the system once more. A system without an activation has other
// units for them, which the next boot starts.
func (s *system) activate(ctx context.Context) error {
	const unit = "sops-install-secrets.service"
	if s.systemctl(ctx, "cat", unit) == nil {
		return s.systemctl(ctx, "restart", unit)
	}
	program := filepath.Join(s.root, "run/current-system/activate")
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}
