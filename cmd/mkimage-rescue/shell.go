package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// shells are what the shell may be; the first that is there is used. The last two are
// that of the initramfs, where the payload has one there.
var shells = []string{"/usr/bin/bash", "/bin/bash", "/bin/sh", "/bbin/gosh"}

func newShell(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "shell",
		Short: "start a shell",
		Long: `mkimage-rescue shell starts a shell in which every program of the rescue
environment is found. Nothing of the disks is mounted for it.`,
		Example: `  mkimage-rescue shell`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p.started = true
			shell := findShell(shells)
			if shell == "" {
				return fault.New(fault.Input, "build the medium with bash in the payload's system, or with initramfs.shell", "shell: none of %s is there", strings.Join(shells, ", "))
			}
			fmt.Fprint(p.stdout, welcome)
			return syscall.Exec(shell, []string{filepath.Base(shell)}, shellEnvironment(os.Environ(), isHere()))
		},
	}
}

// welcome says what is where.
const welcome = `mkimage-rescue --help      what the menu does, as commands
mkimage-rescue inventory   what is there; it mounts nothing
` + logPath + "   what network, clock and SSH server did\n" +
	config.RescuePlan + `     what the medium was made of
exit                       ends the shell

If a session sleeps on a disk (the inventory says so), mount nothing of it.
`

// findShell returns the first of these that may be run, "" if there is none.
func findShell(list []string) string {
	for _, sh := range list {
		if st, err := os.Stat(sh); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
			return sh
		}
	}
	return ""
}

// shellEnvironment returns an environment with the prompt, and in the rescue environment
// with its programs.
func shellEnvironment(env []string, here bool) []string {
	set := []string{"PS1=rescue# "}
	if here {
		set = append(set, "PATH="+searchPath)
	}
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.ContainsFunc(set, func(s string) bool { return strings.HasPrefix(s, name+"=") })
	})
	return append(env, set...)
}
