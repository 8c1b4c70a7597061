package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/6FaNcY9/mkimage/installer/disks"
)

// print prints disks for people: each with what is on it, who has it, and what
// every rule says.
func (e *explainedDisks) print(w io.Writer) {
	if len(e.Disks) == 0 {
		fmt.Fprintln(w, "no disks")
		return
	}
	for i, v := range e.Disks {
		if i > 0 {
			fmt.Fprintln(w)
		}
		printDisk(w, v.Disk)
		if e.judged {
			printFindings(w, v)
		}
	}
	if e.Chosen != "" {
		fmt.Fprintf(w, "\nthe target is %s\n", printable(e.Chosen))
	}
}

// printDisk prints a disk without judging it.
func printDisk(w io.Writer, d disks.Disk) {
	bus := d.Bus
	if bus == "" {
		bus = "unknown"
	}
	fmt.Fprintln(w, d)
	fmt.Fprintf(w, "  bus %s, sectors of %d bytes", printable(bus), d.SectorSize)
	if d.Removable {
		fmt.Fprint(w, ", removable")
	}
	if d.ReadOnly {
		fmt.Fprint(w, ", read-only")
	}
	if d.WWID != "" {
		fmt.Fprintf(w, ", wwid %s", printable(d.WWID))
	}
	fmt.Fprintln(w)
	if d.Problem != "" {
		fmt.Fprintf(w, "  not read: %s\n", printable(d.Problem))
	}
	if d.Table != "" {
		fmt.Fprintf(w, "  partition table: %s", printable(d.Table))
		if d.TableProblem != "" {
			fmt.Fprintf(w, ", %s", printable(d.TableProblem))
		}
		fmt.Fprintln(w)
	}
	printContents(w, "  ", d.Contents)
	for _, p := range d.Partitions {
		fmt.Fprintf(w, "  %s, %s\n", p, humanBytes(p.Size))
		printDetails(w, "    ", p.Contents)
	}
	for _, use := range d.Uses {
		fmt.Fprintf(w, "  in use: %s, %s %s\n", printable(use.Device), printable(use.Kind), printable(use.By))
	}
}

func printContents(w io.Writer, indent string, list []disks.Content) {
	for _, c := range list {
		fmt.Fprintf(w, "%s%s\n", indent, c)
	}
	printDetails(w, indent+"  ", list)
}

// printDetails prints what was found in file systems.
func printDetails(w io.Writer, indent string, list []disks.Content) {
	for _, c := range list {
		for _, r := range c.Repositories {
			fmt.Fprintf(w, "%srestic repository %s\n", indent, printable(r))
		}
		if c.Problem != "" {
			fmt.Fprintf(w, "%snot read: %s\n", indent, printable(c.Problem))
		}
	}
}

// printFindings prints what every rule says of a disk.
func printFindings(w io.Writer, v disks.Verdict) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range v.Findings {
		mark := "yes"
		if !f.OK {
			mark = "NO"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", mark, printable(f.Rule), printable(f.Reason))
	}
	_ = t.Flush() // to a buffer, whose own error the caller sees
	if f, rejected := v.Rejected(); rejected {
		fmt.Fprintf(w, "  not the target, by the rule %q\n", f.Rule)
	} else {
		fmt.Fprintln(w, "  could be the target")
	}
}
