package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "write the manual pages into a directory",
		Hidden: true, // for packagers
		Args:   takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return fault.New(fault.Target, "mkdir -p "+args[0], "%s: not a directory", args[0])
			}
			root := cmd.Root()
			addExitStatus(root)
			// A fixed date: the pages depend on the program alone.
			date := time.Unix(0, 0).UTC()
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "mkimage", Manual: "mkimage", Date: &date}, args[0])
		},
	}
}

// addExitStatus appends a section to the description of every command; the
// generator has no other place for one.
func addExitStatus(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.Long += "\n\n# EXIT STATUS\n\n```\n" + exitStatus(cmd) + "```\n"
	for _, c := range cmd.Commands() {
		addExitStatus(c)
	}
}
