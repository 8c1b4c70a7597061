package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot/decrypt"
)

func newSecret(s *system) *cobra.Command {
	var root, key string
	cmd := &cobra.Command{
		Use:   "secret NAME",
		Short: "hand one secret to another program",
		Long: `secret decrypts one secret of the system below --root and writes it to its output,
which must be no terminal. mkimage-rescue takes the password of a repository so: what
decrypts files of sops is large, and need not be in memory twice.`,
		Hidden: true, // for programs
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f, ok := s.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				return fault.New(fault.Usage, "", "secret %s: the output is a terminal, which would show it", args[0])
			}
			return s.secret(args[0], root, key)
		},
	}
	cmd.Flags().StringVar(&root, "root", "/", "the `directory` of the system's root")
	cmd.Flags().StringVar(&key, "key-file", "-", "the `file` with the age key, - for the input")
	return cmd
}

// secret writes one secret of a system.
func (s *system) secret(name, root, key string) error {
	found, err := s.fromFile(key)
	if err != nil {
		return err
	}
	defer clear(found.text)
	k, err := agekey.Parse(found.text)
	if err != nil {
		return err
	}
	other := system{root: root}
	c, err := other.config()
	if err != nil {
		return err
	}
	value, err := decrypt.Value(root, &c, k, name)
	if err != nil {
		return err
	}
	defer clear(value)
	_, err = s.out.Write(value)
	return err
}
